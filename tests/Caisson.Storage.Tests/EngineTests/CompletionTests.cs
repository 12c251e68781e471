using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class CompletionTests : EngineTestBase
{
    [Fact]
    public async Task A_run_completes_and_each_step_is_recorded_once()
    {
        var server = await StartAsync(Steps(5));

        var run = await server.CreateAsync(Manifest, "hello");

        var record = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(("done", 5L, 1L, null, null), (record.Summary.Result, record.Summary.Steps, record.Epoch, record.Owner, record.DueAt));
        Assert.Equal(["a", "b", "c", "d", "e"], Executed);
        Assert.Equal([EntryKind.RunCreated, EntryKind.EpochClaimed, .. Enumerable.Repeat(EntryKind.StepCompleted, 5), EntryKind.RunEnded], await server.KindsAsync(run));
        Assert.Equal("\"result of c\"", Encoding.UTF8.GetString((await server.JournalAsync(run))[4].Payload!.Value.Span));
    }

    [Fact]
    public async Task Steps_side_by_side_are_all_recorded()
    {
        var server = await StartAsync(async context =>
        {
            await Task.WhenAll(Enumerable.Range(0, 40).Select(i => StepAsync(context, $"{i}")));
            return "done";
        });

        var run = await server.CreateAsync(Manifest);

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(40, (await server.KindsAsync(run)).Count(k => k == EntryKind.StepCompleted));
        Assert.Equal(40, Executed.Distinct().Count());
    }

    [Fact]
    public async Task Many_runs_complete_and_the_engine_keeps_to_its_limit()
    {
        var server = await StartAsync(Steps(5), options: new EngineOptions { MaxConcurrentRuns = 40 });

        var runs = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => server.CreateAsync(Manifest)));

        foreach (var run in runs)
        {
            Assert.InRange(server.Engine.Running, 0, 40);
            Assert.Equal(5, (await server.UntilAsync(run, RunStatus.Completed)).Summary.Steps);
        }

        Assert.Equal(1000, Executed.Count);
    }

    [Fact]
    public async Task A_result_too_large_for_the_journal_comes_back_on_replay()
    {
        var large = new byte[3 << 20];
        new Random(1).NextBytes(large);
        var gate = new Gate();
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var result = await context.StepAsync("large", () =>
            {
                Executed.Enqueue("large");
                return Task.FromResult(large);
            });
            await StepAsync(context, "gated", gate.PassAsync);
            return result.AsSpan().SequenceEqual(large) ? "same" : "different";
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(agent);

        Assert.Equal("same", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Single(Executed, "large");
    }

    [Fact]
    public async Task A_large_input_and_a_large_result_are_kept()
    {
        var input = new string('i', NewRuns.MaxInputBytes);
        var server = await StartAsync(context => Task.FromResult(context.Input + "!"));

        var run = await server.CreateAsync(Manifest, input);

        await server.UntilAsync(run, RunStatus.Completed);
        var ended = (await server.JournalAsync(run))[^1];
        Assert.Equal(EntryKind.RunEnded, ended.Kind);
        Assert.Contains(input + "!", Encoding.UTF8.GetString(ended.Body.Span), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requests_that_cannot_run_are_refused_and_create_nothing()
    {
        var server = await StartAsync();
        var none = new Dictionary<string, string>();
        (CreateRun Request, string Code)[] bad =
        [
            (new CreateRun("name: [", "x.yaml", "", new RunOverrides(), none, null), ErrorCodes.ManifestInvalid),
            (new CreateRun(Manifest, "x.yaml", new string('i', NewRuns.MaxInputBytes + 1), new RunOverrides(), none, null), ErrorCodes.PayloadTooLarge),
            (new CreateRun(Manifest + new string('#', NewRuns.MaxManifestBytes), "x.yaml", "", new RunOverrides(), none, null), ErrorCodes.PayloadTooLarge),
            (new CreateRun(Manifest, "x.yaml", "", new RunOverrides(Usd: "much"), none, null), ErrorCodes.RequestInvalid),
            (new CreateRun(Manifest, "x.yaml", "", new RunOverrides(), none, ""), ErrorCodes.RequestInvalid),
            (new CreateRun(Manifest, "x.yaml", "", new RunOverrides(), Enumerable.Range(0, 33).ToDictionary(i => $"l{i}", _ => ""), null), ErrorCodes.RequestInvalid),
            (new CreateRun("name: a\nloop: {model: a/b, instructions: x}", "x.yaml", "", new RunOverrides(), none, null), ErrorCodes.ModelUnknown),
        ];

        foreach (var (request, code) in bad)
            Assert.Equal(code, Assert.IsType<CreateRunOutcome.Refused>(await server.Runs.CreateAsync(request, default)).Failure.Code);

        Assert.Empty(await server.Runs.ListAsync(new RunFilter(null, null, null, 10), default));
    }

    [Fact]
    public async Task The_same_key_is_answered_with_the_same_run()
    {
        var server = await StartAsync(Steps(1));
        var request = new CreateRun(Manifest, "x.yaml", "in", new RunOverrides(), new Dictionary<string, string>(), "key");

        var first = Assert.IsType<CreateRunOutcome.Accepted>(await server.Runs.CreateAsync(request, default));
        var again = Assert.IsType<CreateRunOutcome.Accepted>(await server.Runs.CreateAsync(request, default));
        var other = Assert.IsType<CreateRunOutcome.Refused>(await server.Runs.CreateAsync(request with { Input = "other" }, default));

        Assert.Equal((first.Run, true), (again.Run, again.Existing));
        Assert.Equal(ErrorCodes.IdempotencyMismatch, other.Failure.Code);
        await server.UntilAsync(first.Run, RunStatus.Completed);
        Assert.Single(Executed);
    }

    [Fact]
    public async Task The_journal_is_followed_to_the_end_without_gap()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20), TimeProvider.System);

        var seqs = new List<long>();
        await foreach (var entry in server.Runs.FollowAsync(run, 0, deadline.Token))
        {
            seqs.Add(entry.Seq);
            if (entry.Kind == EntryKind.StepCompleted)
                gate.Open();
        }

        Assert.Equal([1L, 2L, 3L, 4L, 5L, 6L], seqs);
    }

    /// <summary>A reader that lost its connection after the last entry comes back with that entry's number.</summary>
    [Fact]
    public async Task Following_an_ended_run_from_its_end_ends()
    {
        var server = await StartAsync(Steps(1));
        var run = await server.CreateAsync(Manifest);
        var last = (await server.UntilAsync(run, RunStatus.Completed)).LastSeq;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(5), TimeProvider.System);

        await foreach (var entry in server.Runs.FollowAsync(run, last, deadline.Token))
            Assert.Fail($"{entry} comes after the end");
    }

    [Fact]
    public async Task A_run_whose_agent_is_not_registered_pauses_until_a_server_has_it()
    {
        var server = await StartAsync();
        var run = await server.CreateAsync(Manifest);
        var record = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Contains("no agent 'test'", record.Summary.Detail, StringComparison.Ordinal);
        await server.StopHardAsync();

        var next = await StartAsync(Steps(1));
        await next.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        await next.UntilAsync(run, RunStatus.Completed);
    }

    [Fact]
    public async Task Without_any_signal_the_sweep_finds_the_run()
    {
        var server = await StartAsync(Steps(2), signals: false);

        var run = await server.CreateAsync(Manifest);

        await server.UntilAsync(run, RunStatus.Completed);
    }
}
