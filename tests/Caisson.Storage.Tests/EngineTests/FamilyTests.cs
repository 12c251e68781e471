using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Parents and their children.</summary>
public sealed class FamilyTests : EngineTestBase
{
    [Theory]
    [InlineData("well", "Completed child of well ")]
    [InlineData("bad", "Failed  too_bad")]
    public async Task A_child_ends_for_its_parent_with_its_result_or_its_failure(string input, string expected)
    {
        var server = await ParentAsync(async context =>
        {
            var end = await (await context.SpawnAsync(new ChildSpec("child", input))).Ended;
            return $"{end.Status} {end.Result} {end.Failure?.Code}";
        }, context => input == "bad" ? throw new StepFailedException(new Failure("too_bad", "bad")) : Task.FromResult("child of " + context.Input));

        Assert.Equal(expected, (await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Completed)).Summary.Result);
    }

    [Theory]
    [InlineData(false, RunStatus.Cancelled)]
    [InlineData(true, RunStatus.Waiting)]
    public async Task A_child_is_cancelled_with_its_parent_unless_it_is_detached(bool detach, RunStatus expected)
    {
        var server = await ParentAsync(async context =>
        {
            await (await context.SpawnAsync(new ChildSpec("child", "") { Detach = detach })).Ended;
            return "";
        }, Forever);
        var parent = await server.CreateAsync(Manifest);
        var child = await ChildAsync(server, parent);
        await server.UntilAsync(child, RunStatus.Waiting);

        await server.Runs.CancelAsync(parent, "me", null, default);

        await server.UntilAsync(parent, RunStatus.Cancelled);
        Assert.Equal(expected, (await server.UntilAsync(child, expected)).Status);
        Assert.Equal(detach ? 0 : 1, (await server.KindsAsync(child)).Count(k => k == EntryKind.CancelRequested) + (await server.Store.ReadInboxAsync(child, 10, default)).Count);
    }

    [Fact]
    public async Task A_detached_child_goes_on_after_its_parent_has_ended()
    {
        var server = await ParentAsync(async context =>
        {
            await context.SpawnAsync(new ChildSpec("child", "") { Detach = true });
            return "";
        }, async context =>
        {
            await context.StepAsync("before", () => Task.FromResult(1));
            await context.WaitForSignalAsync("go");
            return await context.StepAsync("after", () => Task.FromResult("done"));
        });
        var parent = await server.CreateAsync(Manifest);
        await server.UntilAsync(parent, RunStatus.Completed);
        var child = await OnlyChildAsync(server, parent);
        await server.UntilAsync(child, RunStatus.Waiting);

        await server.Operations.SignalAsync(child, "go", "null"u8.ToArray(), null, "me", default);

        Assert.Equal("done", (await server.UntilAsync(child, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task A_run_that_spawns_its_own_like_is_refused_and_a_replay_gets_the_same_answer()
    {
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var told = "";
            try
            {
                await context.SpawnAsync(new ChildSpec("test", context.Input));
            }
            catch (StepFailedException refused)
            {
                told = refused.Failure.Code;
            }

            await context.WaitForSignalAsync("end");
            return told;
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        await server.StopHardAsync();

        var next = await StartAsync(agent);
        await next.Operations.SignalAsync(run, "end", default, null, null, default);

        Assert.Equal(ErrorCodes.SpawnCycle, (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Single(await next.Store.ListAsync(new RunFilter(null, null, null, 10), default));
    }

    [Fact]
    public async Task At_the_limit_of_depth_a_run_pauses()
    {
        var server = await ParentAsync(async context =>
        {
            await context.SpawnAsync(new ChildSpec("child", ""));
            return "";
        }, Forever);

        var run = await server.CreateAsync(Manifest, limits: new RunOverrides { ChildDepth = 0 });

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.ChildDepth), (paused.Paused, paused.Summary.LimitAt));
    }

    /// <summary>Parents at work keep their places: without some for children, each would wait for what nobody can begin.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(16)]
    public async Task Children_get_places_where_parents_at_work_would_take_them_all(int places)
    {
        var roots = ClaimOrder.PlacesForRoots(places);
        var (ended, all) = (0, new Gate());
        var server = await StartAsync(options: new EngineOptions { MaxConcurrentRuns = places });
        server.Register("test", async context =>
        {
            await context.SpawnAsync(new ChildSpec("child", ""));
            await StepAsync(context, "work", cancellation => all.PassAsync(cancellation));
            return "";
        });
        server.Register("child", context =>
        {
            if (Interlocked.Increment(ref ended) == roots)
                all.Open();
            return Task.FromResult("");
        });

        var runs = new List<RunId>();
        for (var i = 0; i <= places; i++)
            runs.Add(await server.CreateAsync(Manifest));

        foreach (var run in runs)
            await server.UntilAsync(run, RunStatus.Completed);
    }

    private static async Task<string> Forever(IRunContext context)
    {
        await context.WaitForSignalAsync("never");
        return "";
    }

    private async Task<TestServer> ParentAsync(Func<IRunContext, Task<string>> parent, Func<IRunContext, Task<string>> child)
    {
        var server = await StartAsync();
        server.Register("test", parent);
        server.Register("child", child);
        return server;
    }

    private static async Task<RunId> ChildAsync(TestServer server, RunId parent)
    {
        await server.UntilAsync(parent, RunStatus.Waiting);
        return await OnlyChildAsync(server, parent);
    }

    private static async Task<RunId> OnlyChildAsync(TestServer server, RunId parent) =>
        (await server.Store.ListAsync(new RunFilter(null, null, null, 10), default)).Single(r => r.Parent == parent).Id;
}
