using Caisson.Contracts;
using Caisson.Core.Stores;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>No hint is needed: what the store says is compared with what is driven.</summary>
public sealed class LevelTests : EngineTestBase
{
    [Fact]
    public async Task A_run_that_the_node_owns_and_does_not_drive_is_adopted()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var server = await StartAsync(async context =>
        {
            if (context.Input == "live")
                await context.WaitForSignalAsync("never");
            return "done";
        }, clock, signals: false);
        var live = await server.CreateAsync(Manifest, "live");
        server.Sweep(live);
        var node = (await server.UntilAsync(live, RunStatus.Waiting)).Owner!.Value;

        // The engine hears of nothing, and its clock stands: the claim is this test's, in the engine's name.
        var lost = await server.CreateAsync(Manifest);
        Assert.IsType<ClaimOutcome.Claimed>(await server.Store.ClaimAsync(lost, node, default));
        clock.Advance(TimeSpan.FromSeconds(1));
        server.Sweep(live);

        var record = await server.UntilAsync(lost, RunStatus.Completed);
        Assert.Equal(2, record.Epoch);
    }
}
