using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_snapshot_is_referred_to_until_it_is_removed()
    {
        var run = (await CreateAndClaimAsync()).Id;
        var first = new SnapshotRecord("snap-b", "root of a run", "box", run, 7, Clock.GetUtcNow());
        var second = new SnapshotRecord("snap-a", "root of nobody", "other box", null, 0, Clock.GetUtcNow());
        await _host.Snapshots.AddSnapshotAsync(first, default);
        await _host.Snapshots.AddSnapshotAsync(second, default);

        await _host.ReopenAsync();

        Assert.Equal([first, second], await _host.Snapshots.ListSnapshotsAsync(default));
        Assert.Equal([new(first.Root, true), new(second.Root, true)], await ReferencesAsync());
        Assert.True(await _host.Snapshots.RemoveSnapshotAsync(first.Id, default));
        Assert.False(await _host.Snapshots.RemoveSnapshotAsync(first.Id, default));
        Assert.Equal([second], await _host.Snapshots.ListSnapshotsAsync(default));
        Assert.Equal([new(second.Root, true)], await ReferencesAsync());
    }
}
