using System.Text;
using Caisson.Core.Blobs;
using Caisson.Core.Retention;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

public sealed class BlobSweepTests : IDisposable
{
    private static readonly TimeSpan Grace = BlobPromise.KeptUnreferenced;
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly FileBlobStore _store;

    public BlobSweepTests() => _store = new FileBlobStore(_folder.Path, new byte[32], _clock);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_blob_that_nobody_refers_to_is_set_aside_and_a_grace_later_removed()
    {
        var (lost, kept) = (await PutAsync("lost"), await PutAsync("kept"));
        _clock.Advance(Grace + Moment);

        var first = await SweepAsync(kept);

        Assert.Equal((1, 1, 0), (first.Referenced, first.SetAside, first.Removed));
        Assert.Equal(["trash"], Places(lost));
        _clock.Advance(Grace);
        Assert.Equal((0, 0), Counts(await SweepAsync(kept)));
        _clock.Advance(Moment);
        var last = await SweepAsync(kept);
        Assert.Equal((0, 1), Counts(last));
        Assert.True(last.RemovedBytes > 0);
        Assert.Empty(Places(lost));
        Assert.Null(await _store.GetAsync(lost, default));
        Assert.Equal("kept", await TextAsync(kept));
    }

    [Fact]
    public async Task A_young_blob_stays_although_nobody_refers_to_it()
    {
        var address = await PutAsync("young");
        _clock.Advance(Grace);

        Assert.Equal((0, 0), Counts(await SweepAsync()));
        Assert.Equal(["shelf"], Places(address));
    }

    [Fact]
    public async Task A_put_of_the_same_content_makes_it_young_again()
    {
        var address = await PutAsync("again");
        _clock.Advance(Grace);
        await PutAsync("again");
        _clock.Advance(Moment);

        Assert.Equal((0, 0), Counts(await SweepAsync()));
        Assert.Equal(["shelf"], Places(address));
    }

    [Fact]
    public async Task A_put_of_what_was_set_aside_brings_it_back_without_writing_it()
    {
        var address = await PutAsync("back");
        await SetAsideAsync(address);
        var stored = await File.ReadAllBytesAsync(_folder[Path.Combine("trash", address)]);

        Assert.Equal(address, await PutAsync("back"));

        Assert.Equal(["shelf"], Places(address));
        Assert.Equal(stored, await File.ReadAllBytesAsync(PathOf(address)));
        _clock.Advance(Grace);
        Assert.Equal((0, 0), Counts(await SweepAsync()));
    }

    [Fact]
    public async Task A_read_of_what_was_set_aside_brings_it_back()
    {
        var address = await PutAsync("read");
        await SetAsideAsync(address);

        Assert.Equal("read", await TextAsync(address));

        Assert.Equal(["shelf"], Places(address));
        Assert.Equal((0, 0), Counts(await SweepAsync()));
    }

    [Fact]
    public async Task What_was_set_aside_and_is_referred_to_after_all_returns()
    {
        var address = await PutAsync("late");
        await SetAsideAsync(address);
        _clock.Advance(10 * Grace);

        var report = await SweepAsync(address);

        Assert.Equal(1, report.Returned);
        Assert.Equal(["shelf"], Places(address));
        Assert.Equal("late", await TextAsync(address));
    }

    [Fact]
    public async Task Everything_below_a_referred_tree_stays_and_a_blob_named_as_such_keeps_only_itself()
    {
        var leaf = await PutAsync("leaf");
        var inner = await PutAsync(LinkTrees.Tree(('f', leaf)));
        var root = await PutAsync(LinkTrees.Tree(('t', inner)));
        var (other, below) = (await PutAsync("other"), await PutAsync("below"));
        var notFollowed = await PutAsync(LinkTrees.Tree(('f', below)));
        _clock.Advance(2 * Grace);

        // Named first as a plain blob, then as a tree: what it names counts.
        await SweepFromAsync(new(root, false), new(inner, false), new(root, true), new(notFollowed, false));

        Assert.All([leaf, inner, root, notFollowed], a => Assert.Equal(["shelf"], Places(a)));
        Assert.All([other, below], a => Assert.Equal(["trash"], Places(a)));
    }

    [Fact]
    public async Task A_tree_that_was_set_aside_is_followed_too()
    {
        var leaf = await PutAsync("leaf");
        var root = await PutAsync(LinkTrees.Tree(('f', leaf)));
        await SetAsideAsync(leaf, root);
        _clock.Advance(2 * Grace);

        var report = await SweepFromAsync(new BlobReference(root, true));

        Assert.Empty(report.Unreadable);
        Assert.All([leaf, root], a => Assert.Equal(["shelf"], Places(a)));
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("damaged")]
    [InlineData("no tree")]
    [InlineData("no address")]
    public async Task A_tree_that_cannot_be_followed_keeps_everything(string how)
    {
        var (aside, lost, wanted) = (await PutAsync("aside"), await PutAsync("lost"), await PutAsync("wanted"));
        await SetAsideAsync(aside, wanted);
        await PutAsync("lost");
        var root = how == "no tree" ? await PutAsync("text") : await PutAsync(LinkTrees.Tree());
        if (how == "missing")
            File.Delete(PathOf(root));
        if (how == "damaged")
            await File.WriteAllBytesAsync(PathOf(root), [9, 9, 9]);
        _clock.Advance(10 * Grace);

        var report = await SweepFromAsync(new BlobReference(how == "no address" ? "../etc" : root, true), new BlobReference(wanted, false));

        Assert.Single(report.Unreadable);
        Assert.Equal((0, 0), Counts(report));
        Assert.Equal(["trash"], Places(aside));
        Assert.Equal(["shelf"], Places(lost));
        Assert.Equal(["shelf"], Places(wanted));
    }

    [Fact]
    public async Task A_blob_that_is_put_while_the_references_are_read_stays()
    {
        var address = await PutAsync("old");
        _clock.Advance(2 * Grace);

        await _store.SweepAsync(PutMeanwhile(), new LinkTrees(), default);

        Assert.Equal(["shelf"], Places(address));

        async IAsyncEnumerable<BlobReference> PutMeanwhile()
        {
            await PutAsync("old");
            yield break;
        }
    }

    /// <summary>The tombstone's time stands before the rename: a crash between them leaves a young blob, not an old tombstone.</summary>
    [Fact]
    public async Task A_tombstone_is_young_however_old_its_blob_was()
    {
        var address = await PutAsync("ancient");
        _clock.Advance(1000 * Grace);

        await SweepAsync();

        Assert.Equal(_clock.GetUtcNow().UtcDateTime, File.GetLastWriteTimeUtc(_folder[Path.Combine("trash", address)]));
        Assert.Equal((0, 0), Counts(await SweepAsync()));
    }

    [Fact]
    public async Task A_blob_in_both_places_because_a_slow_put_came_after_a_sweep_is_one_blob()
    {
        var address = await PutAsync("twice");
        Directory.CreateDirectory(_folder["trash"]);
        File.Copy(PathOf(address), _folder[Path.Combine("trash", address)]);
        _clock.Advance(2 * Grace);

        Assert.Equal(1, (await SweepAsync(address)).Returned);

        Assert.Equal(["shelf"], Places(address));
        Assert.Equal("twice", await TextAsync(address));
    }

    [Fact]
    public async Task Foreign_files_are_left_alone()
    {
        var address = await PutAsync("mine");
        var foreign = Path.Combine(Path.GetDirectoryName(PathOf(address))!, "README");
        await File.WriteAllTextAsync(foreign, "not a blob");
        File.SetLastWriteTimeUtc(foreign, DateTime.UnixEpoch);

        await SweepAsync(address);

        Assert.True(File.Exists(foreign));
    }

    private async Task<string> PutAsync(string text) => await PutAsync(Encoding.UTF8.GetBytes(text));

    private async Task<string> PutAsync(byte[] content) => (await _store.PutAsync([content], default))[0];

    private async Task<string> TextAsync(string address) => Encoding.UTF8.GetString((await _store.GetAsync(address, default))!.Value.Span);

    private Task<SweepReport> SweepAsync(params string[] references) => SweepFromAsync([.. references.Select(r => new BlobReference(r, false))]);

    private Task<SweepReport> SweepFromAsync(params BlobReference[] references) => _store.SweepAsync(references.ToAsyncEnumerable(), new LinkTrees(), default);

    private async Task SetAsideAsync(params string[] addresses)
    {
        _clock.Advance(Grace + Moment);
        await SweepAsync();
        Assert.All(addresses, a => Assert.Equal(["trash"], Places(a)));
    }

    private static (long SetAside, long Removed) Counts(SweepReport report) => (report.SetAside, report.Removed);

    private string PathOf(string address) => _folder[Path.Combine(address[..2], address[2..])];

    private string[] Places(string address) =>
        [.. new[] { ("shelf", PathOf(address)), ("trash", _folder[Path.Combine("trash", address)]) }.Where(p => File.Exists(p.Item2)).Select(p => p.Item1)];
}
