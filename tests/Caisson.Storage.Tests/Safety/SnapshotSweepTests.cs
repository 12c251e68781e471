using Caisson.Core.Blobs;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

/// <summary>What nothing but a snapshot refers to.</summary>
public sealed class SnapshotSweepTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(Some.Start);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_workspace_stays_while_its_snapshot_does_and_goes_after_it()
    {
        await using var store = SqliteStoreHost.Open(_folder.Path, _clock);
        var blobs = new FileBlobStore(_folder["blobs"], store.TenantKey.Span, _clock);
        var leaf = (await blobs.PutAsync(["a file"u8.ToArray()], default))[0];
        var root = (await blobs.PutAsync([LinkTrees.Tree(('f', leaf))], default))[0];
        await store.AddSnapshotAsync(new SnapshotRecord("snap-1", root, "box", null, 0, _clock.GetUtcNow()), default);

        await SweepTwiceAsync();
        Assert.NotNull(await blobs.GetAsync(leaf, default));

        await store.RemoveSnapshotAsync("snap-1", default);
        await SweepTwiceAsync();
        Assert.Null(await blobs.GetAsync(leaf, default));
        Assert.Null(await blobs.GetAsync(root, default));

        async Task SweepTwiceAsync()
        {
            for (var round = 0; round < 2; round++)
            {
                _clock.Advance(BlobPromise.KeptUnreferenced + TimeSpan.FromMinutes(1));
                Assert.Empty((await blobs.SweepAsync(store.ReadReferencesAsync(default), new LinkTrees(), default)).Unreadable);
            }
        }
    }
}
