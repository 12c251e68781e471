#pragma warning disable VSTHRD002 // Reads of the embedded store in a condition that is looked at again and again.
using System.Collections.Concurrent;
using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>What an agent sees is the same in every replay.</summary>
public sealed class ReplayTests : EngineTestBase
{
    private static readonly EngineOptions Unloads = new() { HoldWaiting = TimeSpan.Zero };

    [Fact]
    public async Task Time_chance_and_ids_are_the_same_in_a_replay()
    {
        var seen = new ConcurrentQueue<string>();
        var (next, run) = await TwiceAsync(async context =>
        {
            await StepAsync(context, "a");
            seen.Enqueue($"{context.Now.Ticks} {context.NewGuid()} {context.Random.Next()} {context.NewGuid()}");
        });

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(2, seen.Count);
        Assert.Single(seen.Distinct());
    }

    [Fact]
    public async Task Time_and_chance_are_the_same_in_a_replay_that_begins_at_a_snapshot()
    {
        var seen = new ConcurrentQueue<string>();
        var (next, run) = await TwiceAsync(async context =>
        {
            if (context.Saved is null)
            {
                _ = context.Random.Next();
                await StepAsync(context, "a");
                await context.SnapshotAsync(new byte[] { 1 });
            }

            seen.Enqueue($"{context.Now.Ticks} {context.Random.Next()}");
        });

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(2, seen.Count);
        Assert.Single(seen.Distinct());
        Assert.Equal(["a"], Executed);
    }

    [Fact]
    public async Task Signals_that_nobody_had_taken_outlive_a_snapshot()
    {
        Func<IRunContext, Task<string>> agent = async context =>
        {
            if (context.Saved is null)
            {
                await context.WaitForSignalAsync("first");
                await context.SnapshotAsync(new byte[] { 1 });
            }

            var kept = await context.WaitForSignalAsync("kept");
            await context.WaitForSignalAsync("end");
            return kept!.Payload;
        };
        var server = await StartAsync(agent, options: Unloads);
        var run = await server.CreateAsync(Manifest);
        await SignalAsync(server, run, "kept", "5");
        await SignalAsync(server, run, "first", "0");
        await server.UntilAsync(run, r => server.KindsAsync(run).Result.Contains(EntryKind.Snapshot) && r.Status == RunStatus.Waiting && r.Owner is null, "waits for the end");
        await server.StopHardAsync();

        var next = await StartAsync(agent);
        await SignalAsync(next, run, "end", "0");

        Assert.Equal("5", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task Equal_names_in_two_branches_are_told_apart_whichever_finishes_first()
    {
        var slow = new Gate();
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var both = await context.WhenAllAsync(new Func<IRunContext, Task<string>>[] { b => Branch(b, 0), b => Branch(b, 1) });
            return string.Join(" ", both);

            Task<string> Branch(IRunContext branch, int nth) => branch.StepAsync("same", async step =>
            {
                Executed.Enqueue(nth.ToString(CultureInfo.InvariantCulture));
                if (nth == 0)
                    await slow.PassAsync(step.Cancellation);
                return nth.ToString(CultureInfo.InvariantCulture);
            });
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await slow.Reached;
        await server.UntilAsync(run, r => r.Summary.Steps == 1, "has the second branch's step");
        await server.StopHardAsync();
        slow.Open();

        var next = await StartAsync(agent);

        Assert.Equal("0 1", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(["0", "0", "1"], Executed.Order());
    }

    [Fact]
    public async Task The_first_of_two_branches_is_the_first_in_a_replay_too()
    {
        var winners = new ConcurrentQueue<int>();
        var slow = new Gate();
        var (next, run) = await TwiceAsync(async context =>
        {
            var (index, _) = await context.WhenAnyAsync(new Func<IRunContext, Task<string>>[]
            {
                b => b.StepAsync("slow", async step =>
                {
                    await slow.PassAsync(step.Cancellation);
                    return "";
                }),
                b => b.StepAsync("quick", () => Task.FromResult("")),
            });
            winners.Enqueue(index);
            slow.Open();
        });

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal([1, 1], winners);
    }

    [Fact]
    public async Task Another_build_that_fits_the_journal_is_adopted_and_executes_nothing_again()
    {
        var (next, run) = await TwiceAsync(context => StepAsync(context, "a"), Build("2"));

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Single(await next.KindsAsync(run), EntryKind.VersionAdopted);
        Assert.Equal(["a"], Executed);
    }

    [Fact]
    public async Task Another_build_that_takes_another_way_is_paused_and_executes_nothing()
    {
        var first = true;
        var (next, run) = await TwiceAsync(context => StepAsync(context, first ? "a" : "b"), Build("2"), () => first = false);

        var paused = await next.UntilAsync(run, RunStatus.Paused);
        Assert.Equal(PauseCause.Version, paused.Paused);
        Assert.Equal(["a"], Executed);
    }

    [Fact]
    public async Task A_decision_about_other_arguments_is_not_taken_for_one_about_these()
    {
        var first = true;
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var decision = await context.ApproveAsync("delete?", new ApprovalOptions { Arguments = first ? "a.txt" : "all of it" });
            if (decision.Approved)
                await StepAsync(context, "delete");
            await context.WaitForSignalAsync("end");
            return "done";
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r.Waiting == WaitReason.Approval, "asks");
        var key = (await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.ApprovalRequested).Key!;
        await server.Store.PostAsync(new NewInput(run, "yes", InputKind.Approval, JournalJson.Write(new InputBody.Approval(key, true, "ann", null))), default);
        server.Sweep(run);
        await server.UntilAsync(run, r => r.Waiting == WaitReason.Signal, "waits for the end");
        await server.StopHardAsync();
        first = false;

        var next = await StartAsync(agent);

        await SignalAsync(next, run, "end", "0");
        var paused = await next.UntilAsync(run, RunStatus.Paused);
        Assert.Equal(PauseCause.Drift, paused.Paused);
        Assert.Contains("all of it", paused.Summary.Detail, StringComparison.Ordinal);
        Assert.Equal(["delete"], Executed);
    }

    /// <summary>Runs the body, waits for a signal, and does the same again in another server, where the signal comes.</summary>
    private async Task<(TestServer Next, RunId Run)> TwiceAsync(Func<IRunContext, Task> body, AgentBuilds? builds = null, Action? between = null)
    {
        Func<IRunContext, Task<string>> agent = async context =>
        {
            await body(context);
            await context.WaitForSignalAsync("end");
            return "done";
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Waiting == WaitReason.Signal, "waits for the signal");
        await server.StopHardAsync();
        between?.Invoke();
        var next = await StartAsync(agent, builds: builds);
        await SignalAsync(next, run, "end", "0");
        return (next, run);
    }

    private static async Task SignalAsync(TestServer server, RunId run, string name, string json) =>
        Assert.IsType<Core.Operations.OperationOutcome.Accepted>(await server.Operations.SignalAsync(run, name, System.Text.Encoding.UTF8.GetBytes(json), null, "me", default));

    private static AgentBuilds Build(string build) => new(new Dictionary<string, string> { ["test"] = build });
}
