using System.Net;
using System.Net.Sockets;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Core.Processes;
using Caisson.Gateway.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Gateway.Tests.Harness;

/// <summary>A program's way to the gateway without its box: the real door behind a loopback socket.</summary>
internal sealed class DoorRig : IAsyncDisposable
{
    private readonly ProcessGateway _gateway;
    private readonly IProcessCalls _calls;
    private readonly ProcessStart _start;
    private readonly HttpClient _client;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();

    private DoorRig(ProcessGateway gateway, IStepLog log)
    {
        _gateway = gateway;
        _calls = gateway.Begin(new Run(log));
        _start = (ProcessStart)_calls.Open(new NoSteps());
        _listener.Start();
        _ = AcceptAsync();
        _client = new HttpClient { BaseAddress = new Uri($"http://{_listener.LocalEndpoint}") };
    }

    public static async Task<DoorRig> StartAsync(ModelCallPipeline pipeline, IStepLog log)
    {
        var gateway = new ProcessGateway(pipeline, NoWalls.Gate, TimeProvider.System, NullLoggerFactory.Instance);
        await gateway.StartAsync(TestContext.Current.CancellationToken);
        return new DoorRig(gateway, log);
    }

    /// <summary>A connection of a client that need not speak HTTP as it should.</summary>
    public async Task<NetworkStream> ConnectAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(_listener.LocalEndpoint, TestContext.Current.CancellationToken);
        return new NetworkStream(socket, ownsSocket: true);
    }

    public async Task<HttpResponseMessage> PostAsync(string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
        return await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken).WaitAsync(TestStepLog.Patience);
    }

    /// <summary>Nothing is under way upstream any more.</summary>
    public Task SettledAsync() => _calls.SettledAsync().WaitAsync(TestStepLog.Patience);

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _end.CancelAsync();
        _listener.Dispose();
        await _start.DisposeAsync();
        await _calls.DisposeAsync();
        await _gateway.DisposeAsync();
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                var socket = await _listener.AcceptSocketAsync(_end.Token);
                _ = ServeAsync(socket);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // The test is over.
                return;
            }
        }
    }

    /// <summary>Closes the connection when the door is through with it, as a box does.</summary>
    private async Task ServeAsync(Socket socket)
    {
        await using var connection = new NetworkStream(socket, ownsSocket: true);
        await _start.ServeAsync(connection, _end.Token);
    }

    private sealed class Run(IStepLog log) : IProcessRun
    {
        RunId IProcessRun.Run => log.Run;

        public AgentManifest Manifest { get; } = new() { Name = "program" };

        public string Input => "";

        public bool MoneyIsCapped => true;

        public CancellationToken Owned => CancellationToken.None;

        public bool IsHalting => false;

        public IReadOnlyList<StepRecord> Recorded => [.. ((TestStepLog)log).Records.Values];

        public IStepLog NewCall(string identity) => log;

        public void Replayed(long seq, string level, bool isExact) => throw new InvalidOperationException("nothing is recorded here");

        public Task GoLiveAsync() => Task.CompletedTask;

        public Task DivergeAsync(DriftReport report) => throw new InvalidOperationException($"{report}");

        public Task<string?> WatchAsync(ConversationSeen seen, bool recorded) => Task.FromResult<string?>(null);

        public IProcessTools Tools => throw new InvalidOperationException("no tools here");

        public void Halt(ModelOutcome why) => throw new InvalidOperationException($"{why}");
    }
}
