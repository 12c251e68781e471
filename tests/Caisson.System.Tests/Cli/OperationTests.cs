using System.Collections.Concurrent;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.System.Tests.Harness;
using Caisson.System.Tests.Hosting;

namespace Caisson.System.Tests.Cli;

/// <summary>What people say to runs by the command: agents in code in an application of the user's own, and the real command.</summary>
public sealed class OperationTests : IAsyncLifetime
{
    private readonly Folder _folder = new();
    private readonly ConcurrentQueue<string> _did = new();
    private volatile bool _mended;
    private EmbeddedApp _app = null!;

    public async ValueTask InitializeAsync() => _app = await StartAsync();

    [Fact]
    public async Task A_signal_is_told_once_for_each_id_and_a_run_that_ended_takes_none()
    {
        var run = await _app.CreateAsync("listener");

        Assert.Contains("'go' is recorded", await SayAsync("signal", run, "go", "--data", """{"n":1}""", "--id", "one"), StringComparison.Ordinal);
        Assert.Contains("is there already", await SayAsync("signal", run, "go", "--data", """{"n":2}""", "--id", "one"), StringComparison.Ordinal);
        await SayAsync("signal", run, "go", "--data", """{"n":3}""");

        Assert.Equal("""{"n":1} {"n":3}""", await _app.ResultAsync(run));
        var late = await RunAsync("signal", run, "go");
        Assert.Equal(6, late.Exit);
        Assert.Contains("completed", late.ErrorLine, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("go on", "null", 2, "NAME: found 'go on'")]
    [InlineData("go", "{", 2, "JSON")]
    [InlineData("go", "@large.json", 2, "262144")]
    [InlineData("go", "@missing.json", 2, "missing.json")]
    public async Task A_signal_that_cannot_be_is_refused_in_one_line(string name, string data, int exit, string says)
    {
        _folder.Write("large.json", $"\"{new string('x', 256 << 10)}\"");
        var run = await _app.CreateAsync("listener");

        var refused = await RunAsync("signal", run, name, "--data", data);

        Assert.Equal(exit, refused.Exit);
        Assert.Contains(says, refused.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(RunStatus.Waiting, (await _app.UntilAsync(run, view => view.Status == RunStatus.Waiting)).Status);
    }

    [Fact]
    public async Task What_runs_ask_is_listed_and_answered_by_two_people()
    {
        var run = await _app.CreateAsync("asker");
        await _app.UntilAsync(run, view => view.Waiting == WaitReason.Approval);

        var list = JsonDocument.Parse(await SayAsync("approvals", "-o", "json")).RootElement.GetProperty("items");
        Assert.Equal((1, run, "delete?\nall of it"), (list.GetArrayLength(), list[0].GetProperty("run").GetString(), list[0].GetProperty("question").GetString()));
        var key = list[0].GetProperty("key").GetString()!;
        Assert.Contains("yes of ann", await SayAsync("approve", run, key[..8], "--by", "ann", "--comment", "fine"), StringComparison.Ordinal);
        await Until.AsyncValue("one of two", () => SayAsync("approvals", run), text => text.Contains("1/2", StringComparison.Ordinal));
        await SayAsync("approve", run, "--by", "bob");

        Assert.Equal("True ann+bob", await _app.ResultAsync(run));
        Assert.Equal(6, (await RunAsync("approve", run)).Exit);
    }

    [Fact]
    public async Task A_no_of_one_is_a_no_and_a_key_that_nobody_asked_for_is_refused()
    {
        var run = await _app.CreateAsync("asker");
        await _app.UntilAsync(run, view => view.Waiting == WaitReason.Approval);

        var wrong = await RunAsync("deny", run, "zzzz");
        Assert.NotEqual(0, wrong.Exit);
        Assert.Contains("zzzz", wrong.ErrorLine, StringComparison.Ordinal);
        await SayAsync("deny", run, "--by", "ann", "--comment", "not that");

        Assert.Equal("False ann", await _app.ResultAsync(run));
    }

    [Fact]
    public async Task A_step_of_unknown_outcome_is_listed_and_resolved()
    {
        var run = await _app.CreateAsync("payer");
        await _app.UntilAsync(run, view => view.Paused == PauseCause.Unknown);

        Assert.Contains($"caisson resolve {run}", await SayAsync("why", run), StringComparison.Ordinal);
        var step = JsonDocument.Parse(await SayAsync("resolve", run, "-o", "json")).RootElement.GetProperty("items")[0];
        Assert.Equal(("pay", "at_most_once"), (step.GetProperty("name").GetString(), step.GetProperty("effect").GetString()));
        var key = step.GetProperty("step").GetString()!;
        Assert.Equal(2, (await RunAsync("resolve", run, key, "--done", "--skip")).Exit);
        Assert.Equal(2, (await RunAsync("resolve", run, key, "--done", "--result", "{")).Exit);
        Assert.Contains("recorded", await SayAsync("resolve", run, key[..12], "--done", "--result", "\"paid by hand\"", "--by", "ann"), StringComparison.Ordinal);

        Assert.Equal("paid by hand", await _app.ResultAsync(run));
        Assert.Equal(["pay"], _did);
    }

    [Fact]
    public async Task A_run_whose_trouble_is_mended_is_retried()
    {
        var run = await _app.CreateAsync("flaky");
        var paused = await _app.UntilAsync(run, view => view.Status == RunStatus.Paused);
        Assert.Equal(PauseCause.RetryExhausted, paused.Paused);
        Assert.Contains($"caisson retry {run}", await SayAsync("why", run), StringComparison.Ordinal);
        _mended = true;

        Assert.Equal("mended\n", await SayAsync("retry", run, "--wait", "-q"));

        Assert.Equal(6, (await RunAsync("retry", run)).Exit);
    }

    [Fact]
    public async Task A_fork_goes_on_from_a_place_and_repeats_nothing_before_it()
    {
        var run = await _app.CreateAsync("two-steps", "x");
        await _app.ResultAsync(run);
        Assert.Equal(["one", "two"], _did);
        var journal = JsonDocument.Parse(await SayAsync("journal", run, "-o", "json")).RootElement.GetProperty("items");
        var one = journal.EnumerateArray().First(e => e.GetProperty("kind").GetString() == "step_completed").GetProperty("seq").GetInt64();

        var fork = await RunAsync("fork", run, "--at", $"{one}", "--wait", "-q");

        Assert.Equal((0, "one two\n"), (fork.Exit, fork.Out));
        Assert.Equal(["one", "two", "two"], _did);
        Assert.NotEqual(0, (await RunAsync("fork", run, "--at", "999")).Exit);
        Assert.Equal(2, (await RunAsync("fork", run, "--effects", "maybe")).Exit);
        Assert.Equal(5, (await RunAsync("fork", "0194f2c8-0000-7000-8000-000000000000")).Exit);
    }

    [Fact]
    public async Task Caps_are_shown_and_set_and_a_run_at_its_limit_says_so()
    {
        var run = await _app.CreateAsync("two-steps", "x", "limits: { steps: 1 }\n");
        await _app.UntilAsync(run, view => view.Paused == PauseCause.Budget);

        Assert.Contains("steps", await SayAsync("why", run), StringComparison.Ordinal);
        Assert.Contains("go on with 'caisson resume'", (await SayAsync("budget", "set", run, "--steps", "5", "--by", "ann")).Replace("goes on", "go on", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal("one two\n", await SayAsync("resume", run, "--wait", "-q"));
        var rows = JsonDocument.Parse(await SayAsync("budget", "get", run, "-o", "json")).RootElement.GetProperty("rows").EnumerateArray().ToList();
        Assert.Contains(rows, row => row.GetProperty("dimension").GetString() == "steps" && row.GetProperty("cap").GetString() == "5");
        await SayAsync("budget", "set", "tenant:default", "--usd", "12.50");
        Assert.Contains("12.5", await SayAsync("budget", "get", "tenant:default"), StringComparison.Ordinal);

        Assert.Equal(2, (await RunAsync("budget", "set", run)).Exit);
        Assert.Equal(2, (await RunAsync("budget", "set", run, "--usd", "lots")).Exit);
        Assert.Equal(2, (await RunAsync("budget", "get", "tenant:default", "--waste")).Exit);
        Assert.Equal(6, (await RunAsync("budget", "set", run, "--steps", "9")).Exit);
    }

    [Fact]
    public async Task A_bundle_holds_the_run_and_is_never_written_over_a_file()
    {
        var run = await _app.CreateAsync("two-steps", "x");
        await _app.ResultAsync(run);
        var file = Path.Combine(_folder.Path, "bundle.json");

        var answer = await RunAsync("bundle", run, "-o", file, "--payloads");

        Assert.Equal(0, answer.Exit);
        using (var bundle = JsonDocument.Parse(await File.ReadAllTextAsync(file)))
            Assert.Contains(run, bundle.RootElement.GetRawText(), StringComparison.Ordinal);
        var before = await File.ReadAllTextAsync(file);
        var again = await RunAsync("bundle", run, "-o", file);
        Assert.Equal(2, again.Exit);
        Assert.Contains(file, again.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllTextAsync(file));
        Assert.Equal(2, (await RunAsync("bundle", run)).Exit);
        var missing = Path.Combine(_folder.Path, "missing.json");
        Assert.Equal(5, (await RunAsync("bundle", "0194f2c8-0000-7000-8000-000000000000", "-o", missing)).Exit);
        Assert.False(File.Exists(missing));
    }

    [Fact]
    public async Task A_sound_journal_is_said_to_be_sound()
    {
        var run = await _app.CreateAsync("two-steps", "x");
        await _app.ResultAsync(run);

        var one = await RunAsync("journal", run, "--verify");
        Assert.Equal((0, ""), (one.Exit, one.Out));
        Assert.Contains("1 run, ", one.Error, StringComparison.Ordinal);
        Assert.Contains("all is well", (await RunAsync("journal", "--verify", "--all")).Error, StringComparison.Ordinal);
        Assert.Equal(2, (await RunAsync("journal", run, "--verify", "--all")).Exit);
        Assert.Equal(2, (await RunAsync("journal", "--all")).Exit);
        Assert.Equal(2, (await RunAsync("journal")).Exit);
    }

    [Fact]
    public async Task A_run_that_spawns_its_own_like_is_refused_the_child_and_goes_on()
    {
        var run = await _app.CreateAsync("snake", "tail");

        Assert.Equal("spawn_cycle", await _app.ResultAsync(run));
        Assert.Contains("tail", await SayAsync("journal", run, "-o", "wide"), StringComparison.Ordinal);
    }

    /// <summary>What a command prints when all is well.</summary>
    private async Task<string> SayAsync(params string[] arguments)
    {
        var answer = await RunAsync(arguments);
        Assert.True(answer.Exit == 0, $"{string.Join(' ', arguments)}: {answer.Exit} {answer.Error}");
        return answer.Out;
    }

    private Task<Answer> RunAsync(params string[] arguments) => CaissonProgram.RunAsync([.. arguments, "--server", _app.Web.Urls.Single()], directory: _folder.Path);

    private Task<EmbeddedApp> StartAsync() => EmbeddedApp.StartAsync(_folder, caisson => caisson
        .AddAgent("listener", async context => $"{(await context.WaitForSignalAsync("go"))!.Payload} {(await context.WaitForSignalAsync("go"))!.Payload}")
        .AddAgent("asker", async context =>
        {
            var decision = await context.ApproveAsync("delete?", new ApprovalOptions { FourEyes = true, Arguments = "all of it" });
            return $"{decision.Approved} {string.Join('+', decision.By.Order(StringComparer.Ordinal))}";
        })
        .AddAgent("payer", context => context.StepAsync("pay", _ =>
        {
            _did.Enqueue("pay");
            return Task.FromException<string>(new TimeoutException("no answer"));
        }, new StepOptions<string> { Effect = EffectClass.AtMostOnce, OnUnknown = UnknownPolicy.AskHuman }))
        .AddAgent("flaky", context => context.StepAsync("call", _ => _mended ? Task.FromResult("mended") : Task.FromException<string>(new TimeoutException("away")),
            new StepOptions<string> { Retry = new RetrySettings { Attempts = 1 } }))
        .AddAgent("two-steps", async context => $"{await DoAsync(context, "one")} {await DoAsync(context, "two")}")
        .AddAgent("snake", async context =>
        {
            try
            {
                await context.SpawnAsync(new ChildSpec("snake", context.Input));
                return "spawned";
            }
            catch (StepFailedException refused)
            {
                return refused.Failure.Code;
            }
        }));

    private Task<string> DoAsync(IRunContext context, string name) => context.StepAsync(name, () =>
    {
        _did.Enqueue(name);
        return Task.FromResult(name);
    });

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }
}
