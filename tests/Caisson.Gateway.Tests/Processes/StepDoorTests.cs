using System.Net;
using System.Net.Sockets;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Core.Processes;
using Caisson.Core.Sandboxes;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Processes;
using Caisson.Gateway.Tests.Harness;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Processes;

/// <summary>The API for programs on its real HTTP server, by the socket that a box has: what is read, bounded, refused and answered.</summary>
public sealed class StepDoorTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 8, 1, 12, 0, 0, TimeSpan.Zero));
    private readonly Steps _steps = new();
    private readonly ProgramRun _run = new();
    private readonly ModelCallPipeline _pipeline;
    private readonly ProcessGateway _gateway;
    private readonly HttpClient _client;

    public StepDoorTests()
    {
        _pipeline = new ModelCallPipeline([], PriceTable.Embedded, _clock, new Random(7), NullLogger.Instance);
        _gateway = new ProcessGateway(_pipeline, NoWalls.Gate, _clock, NullLoggerFactory.Instance);
        var door = _gateway.Begin(_run).Open(_steps).Forwards.Single();
        _client = new HttpClient(new SocketsHttpHandler { ConnectCallback = (_, cancellation) => ConnectAsync(door.Service, cancellation) }) { BaseAddress = new Uri("http://127.0.0.1:4180/caisson/v1/") };
    }

    [Fact]
    public async Task A_step_is_asked_for_by_its_name_and_the_meaning_of_its_input()
    {
        _steps.Answer = new ProgramAnswer.Run("t.1", "run.key", 2);
        Assert.Equal((200, """{"run":true,"token":"t.1","idempotency_key":"run.key","attempt":2}"""), await SendAsync("PUT", "steps/pay%2Fthe%20bill", """{"input": {"a": 1, "b": [2.0]}, "effect": "at_most_once", "on_unknown": "ask_human", "key": "k"}"""));
        var first = Assert.IsType<StepAsk>(_steps.Asked);
        Assert.Equal(("pay/the bill", "k", EffectClass.AtMostOnce, UnknownPolicy.AskHuman), (first.Name, first.Key, first.Effect, first.OnUnknown));

        await SendAsync("PUT", "steps/x", """{"input": { "b":[2.0], "a":1 }}""");
        Assert.Equal(first.InputHash, Assert.IsType<StepAsk>(_steps.Asked).InputHash);
        await SendAsync("PUT", "steps/x", """{"input": {"a": 1, "b": [2]}}""");
        Assert.NotEqual(first.InputHash, Assert.IsType<StepAsk>(_steps.Asked).InputHash);
        await SendAsync("PUT", "steps/x", "");
        Assert.Equal(new StepAsk("x", "", null, null, EffectClass.Idempotent, UnknownPolicy.Report), _steps.Asked);
    }

    [Theory]
    [InlineData("""{"token": "t", "result": {"a": [1, null]}}""", "done {\"a\": [1, null]}")]
    [InlineData("""{"token": "t"}""", "done null")]
    [InlineData("""{"token": "t", "error": {"message": "no", "code": "card_blocked", "retryable": false}}""", "failed card_blocked no False")]
    [InlineData("""{"token": "t", "error": {"message": "later", "retryable": true}}""", "failed step_failed later True")]
    [InlineData("""{"token": "t", "error": {}}""", "broke step_failed the step failed True")]
    public async Task The_end_of_a_step_is_a_result_or_what_the_program_says_of_its_failure(string body, string told)
    {
        _steps.Answer = new ProgramAnswer.Recorded("[1]"u8.ToArray());

        Assert.Equal((200, """{"recorded":[1]}"""), await SendAsync("POST", "steps/x/complete", body));

        Assert.Equal(told, _steps.Asked);
    }

    [Theory]
    [InlineData("PUT", "steps/x", """{"effect": "twice"}""", "effect: allowed are 'read', 'idempotent' and 'at_most_once'")]
    [InlineData("PUT", "steps/x", """{"on_unknown": "compensate"}""", "on_unknown: allowed are 'report', 'ask_human' and 'fail'")]
    [InlineData("PUT", "steps/x", """{"nonsense": 1}""", "The JSON property 'nonsense' could not be mapped")]
    [InlineData("PUT", "steps/x", "[", "invalid")]
    [InlineData("PUT", "steps/a%0Ab", "{}", "the name of a step: allowed are 1 to 200 characters")]
    [InlineData("POST", "steps/x/complete", "{}", "token: allowed are 1 to 200 characters")]
    [InlineData("POST", "steps/x/complete", """{"token": "t", "result": 1, "error": {}}""", "a step ends with either 'result' or 'error'")]
    [InlineData("POST", "steps/x/complete", """{"token": "t", "error": {"code": "No Code"}}""", "error.code: allowed are 1 to 64")]
    [InlineData("POST", "sleep", "{}", "a sleep has either 'seconds' or 'until'")]
    [InlineData("POST", "sleep", """{"seconds": -1}""", "seconds: allowed are 0 to 31622400 seconds")]
    [InlineData("POST", "sleep", """{"until": "2031-01-01T00:00:00Z"}""", "until: allowed is a time within the next 366 days")]
    [InlineData("POST", "signals/a%20b", "{}", "the name of a signal has 1 to 100")]
    [InlineData("POST", "children", "{}", "a child has a 'manifest', or the name of the program's own 'agent'")]
    public async Task A_wrong_request_is_told_in_one_line_and_asks_nothing(string method, string path, string body, string problem)
    {
        var (status, answer) = await SendAsync(method, path, body);

        Assert.Equal(400, status);
        Assert.Contains("\"code\":\"request_invalid\"", answer, StringComparison.Ordinal);
        Assert.Contains(problem, answer, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', answer);
        Assert.Null(_steps.Asked);
    }

    [Fact]
    public async Task What_is_too_large_has_no_route_or_comes_too_late_is_told_by_its_status()
    {
        Assert.Equal(413, (await SendAsync("PUT", "steps/x", $"{{\"input\": \"{new string('x', 1 << 20)}\"}}")).Status);
        var (status, answer) = await SendAsync("DELETE", "steps/x", "");
        Assert.Equal(404, status);
        Assert.Contains("POST steps/NAME/complete", answer, StringComparison.Ordinal);
        Assert.Null(_steps.Asked);

        _steps.Answer = new ProgramAnswer.Refused(new Failure(ErrorCodes.StepStale, "too late"));
        Assert.Equal((409, """{"error":{"code":"step_stale","message":"too late"}}"""), await SendAsync("PUT", "heartbeat", """{"token": "t", "note": "half\nway"}"""));
        Assert.Equal("beat t half\\nway", _steps.Asked);
        _steps.Answer = new ProgramAnswer.Refused(new Failure(ErrorCodes.RunNotFound, "no child"));
        Assert.Equal(404, (await SendAsync("GET", "children/7", "")).Status);
    }

    [Fact]
    public async Task Waits_answer_with_what_came()
    {
        _steps.Answer = new ProgramAnswer.Signalled(new Signal("go", """{"n":1.50}""", "ada"));
        Assert.Equal((200, """{"signal":{"name":"go","data":{"n":1.50},"by":"ada"}}"""), await SendAsync("POST", "signals/go", """{"timeout": 1.5}"""));
        Assert.Equal("signal go 00:00:01.5000000", _steps.Asked);
        _steps.Answer = new ProgramAnswer.Signalled(null);
        Assert.Equal((200, """{"signal":null}"""), await SendAsync("POST", "signals/go", "{}"));

        _steps.Answer = new ProgramAnswer.ChildEnded("c", new ChildOutcome(RunStatus.Failed, null, new Failure("why", "so")));
        Assert.Equal((200, """{"child":"c","status":"failed","result":null,"failure":{"code":"why","message":"so"}}"""), await SendAsync("POST", "children", """{"manifest": "name: x", "input": "i", "wait": true}"""));
        Assert.Equal(new ChildAsk("child", "name: x", "i", null, Detach: false, Wait: true), _steps.Asked);
    }

    [Fact]
    public async Task A_long_wait_is_kept_alive_with_white_space_until_its_answer_comes()
    {
        var answer = _steps.Later = new TaskCompletionSource<ProgramAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var request = new HttpRequestMessage(HttpMethod.Post, "sleep") { Content = new StringContent("""{"seconds": 40, "name": "n"}""") };
        var headers = _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await _steps.Waiting.Task.WaitAsync(TestStepLog.Patience);
        Assert.Equal("sleep n 00:00:40 ", _steps.Asked);
        _clock.Advance(TimeSpan.FromSeconds(15));

        using var response = await headers.WaitAsync(TestStepLog.Patience);
        await using var body = await response.Content.ReadAsStreamAsync();
        Assert.Equal('\n', body.ReadByte());
        answer.SetResult(new ProgramAnswer.Done());
        using var rest = new StreamReader(body);
        Assert.Equal("{}", await rest.ReadToEndAsync());
    }

    [Fact]
    public async Task A_client_that_goes_in_the_middle_of_a_wait_is_noticed()
    {
        _steps.Later = new TaskCompletionSource<ProgramAnswer>();
        using var impatient = new CancellationTokenSource();
        var asked = _client.PostAsync("signals/go", new StringContent("{}"), impatient.Token);
        await _steps.Waiting.Task.WaitAsync(TestStepLog.Patience);

        await impatient.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
        await _steps.Gone.Task.WaitAsync(TestStepLog.Patience);
    }

    [Fact]
    public async Task A_run_that_halts_answers_nothing()
    {
        _run.IsHalting = true;
        using var patience = new CancellationTokenSource();
        var asked = _client.PutAsync("steps/x", new StringContent("{}"), patience.Token);

        await _run.Looked.Task.WaitAsync(TestStepLog.Patience);
        Assert.False(asked.IsCompleted);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
        Assert.Null(_steps.Asked);
    }

    private async Task<(int Status, string Body)> SendAsync(string method, string path, string body)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = method == "GET" ? null : new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await _client.SendAsync(request).WaitAsync(TestStepLog.Patience);
        Assert.Equal("application/json", response.Content.Headers.ContentType?.MediaType);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private static async ValueTask<Stream> ConnectAsync(IBoxService service, CancellationToken cancellationToken)
    {
        using var listener = new Socket(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        var near = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await near.ConnectAsync(listener.LocalEndPoint!, cancellationToken);
        var far = await listener.AcceptAsync(cancellationToken);
        _ = ServeAsync(service, far);
        return new NetworkStream(near, ownsSocket: true);
    }

    private static async Task ServeAsync(IBoxService service, Socket far)
    {
        await using var stream = new NetworkStream(far, ownsSocket: true);
        await service.ServeAsync(stream, CancellationToken.None);
    }

    public async ValueTask InitializeAsync() => await _gateway.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _gateway.DisposeAsync();
        _pipeline.Dispose();
    }

    /// <summary>Keeps what was asked, and answers what it was told to.</summary>
    private sealed class Steps : IProcessSteps
    {
        public object? Asked { get; private set; }

        public ProgramAnswer Answer { get; set; } = new ProgramAnswer.Done();

        /// <summary>Instead of the answer.</summary>
        public TaskCompletionSource<ProgramAnswer>? Later { get; set; }

        public TaskCompletionSource Waiting { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Gone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task StepAsync(StepAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync(ask, deliver, gone);

        public Task CompleteAsync(string token, StepEnd end, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync(end switch
        {
            StepEnd.Done done => $"done {done.Result.GetRawText()}",
            StepEnd.Failed { Failure: var failure } => $"failed {failure.Code} {failure.Message} {failure.Retryable}",
            StepEnd.Broke { Failure: var failure } => $"broke {failure.Code} {failure.Message} {failure.Retryable}",
            _ => "?",
        }, deliver, gone);

        public ProgramAnswer Heartbeat(string token, string? note)
        {
            Asked = $"beat {token} {note}";
            return Answer;
        }

        public Task SleepAsync(string name, TimeSpan time, DateTimeOffset? until, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync($"sleep {name} {time} {until:O}", deliver, gone);

        public Task SignalAsync(string name, TimeSpan? timeout, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync($"signal {name} {timeout}", deliver, gone);

        public Task SpawnAsync(ChildAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync(ask, deliver, gone);

        public Task ChildAsync(string child, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => SayAsync($"child {child}", deliver, gone);

        private async Task SayAsync(object asked, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
        {
            Asked = asked;
            Waiting.TrySetResult();
            try
            {
                await deliver(Later is { } later ? await later.Task.WaitAsync(gone) : Answer);
            }
            finally
            {
                if (gone.IsCancellationRequested)
                    Gone.TrySetResult();
            }
        }
    }

    private sealed class ProgramRun : IProcessRun
    {
        private bool _isHalting;

        public TaskCompletionSource Looked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public RunId Run { get; } = RunId.Parse("01981d3c-0000-7000-8000-000000000001");

        public AgentManifest Manifest { get; } = new() { Name = "program" };

        public string Input => "";

        public bool MoneyIsCapped => false;

        public CancellationToken Owned => CancellationToken.None;

        public bool IsHalting
        {
            get
            {
                Looked.TrySetResult();
                return _isHalting;
            }

            set => _isHalting = value;
        }

        public IReadOnlyList<StepRecord> Recorded => [];

        public IStepLog NewCall(string identity) => throw new InvalidOperationException("no model is called");

        public IProcessTools Tools => throw new InvalidOperationException("no tools here");

        public void Replayed(long seq, string level, bool isExact) => throw new InvalidOperationException("no model is called");

        public Task GoLiveAsync() => throw new InvalidOperationException("no model is called");

        public Task DivergeAsync(DriftReport report) => throw new InvalidOperationException("no model is called");

        public Task<string?> WatchAsync(ConversationSeen seen, bool recorded) => throw new InvalidOperationException("no model is called");

        public void Halt(ModelOutcome why) => throw new InvalidOperationException("nothing halts");
    }
}
