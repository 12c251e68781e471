using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Retention;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Sqlite.Blobs;

namespace Caisson.Sandboxes.Tests;

/// <summary>Saved workspaces under a real sweep. No box is needed: a workspace is a folder.</summary>
public sealed class WorkspaceTreesTests : IDisposable
{
    private static readonly TimeSpan Longer = BlobPromise.KeptUnreferenced + TimeSpan.FromMinutes(1);

    private readonly string _directory = Directory.CreateTempSubdirectory("caisson-trees-").FullName;
    private readonly HandClock _clock = new();
    private readonly FileBlobStore _blobs;
    private readonly string _files;

    public WorkspaceTreesTests()
    {
        _blobs = new FileBlobStore(Path.Combine(_directory, "blobs"), new byte[32], _clock);
        _files = Path.Combine(_directory, "files");
        Directory.CreateDirectory(Path.Combine(_files, "deep", "er"));
        Write("small", 10);
        Write("deep/medium", 100_000);
        Write("deep/er/large", 9_000_000);
        File.CreateSymbolicLink(Path.Combine(_files, "link"), "small");
        using var sparse = new FileStream(Path.Combine(_files, "sparse"), FileMode.Create);
        sparse.Seek(50_000_000, SeekOrigin.Begin);
        sparse.Write("end"u8);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Every_blob_of_a_referred_workspace_outlives_any_number_of_sweeps()
    {
        var root = await SaveAsync(new Workspace(_blobs, _clock, 1 << 30));
        await _blobs.PutAsync(["garbage"u8.ToArray()], default);

        var removed = 0L;
        for (var i = 0; i < 4; i++)
        {
            _clock.Advance(Longer);
            removed += (await SweepAsync(root)).Removed;
        }

        Assert.Equal(1, removed);
        var other = Directory.CreateDirectory(Path.Combine(_directory, "other")).FullName;
        using (var folder = Open(other))
            Assert.Null(await new Workspace(_blobs, _clock, 1 << 30).RestoreAsync(folder, root, default));
        Assert.Equal(Digest(_files), Digest(other));
    }

    [Fact]
    public async Task A_workspace_that_nobody_refers_to_any_more_goes_whole()
    {
        await SaveAsync(new Workspace(_blobs, _clock, 1 << 30));
        for (var i = 0; i < 3; i++)
        {
            _clock.Advance(Longer);
            await SweepAsync();
        }

        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_directory, "blobs"), "*", SearchOption.AllDirectories));
    }

    /// <summary>A save whose root no journal came to have is no promise for the next one, hours later.</summary>
    [Fact]
    public async Task A_save_long_after_one_that_was_never_referred_to_stores_everything_again()
    {
        var workspace = new Workspace(_blobs, _clock, 1 << 30);
        await SaveAsync(workspace);
        for (var i = 0; i < 3; i++)
        {
            _clock.Advance(Longer);
            await SweepAsync();
        }

        var root = await SaveAsync(workspace);

        Assert.Empty((await SweepAsync(root)).Unreadable);
        Assert.Equal(9_000_000, (await new WorkspaceStore(_blobs).ReadFileAsync(root, "deep/er/large", default))!.Value.Length);
    }

    [Fact]
    public async Task A_pruned_workspace_is_what_its_paths_lead_to_and_nothing_else()
    {
        var root = await SaveAsync(new Workspace(_blobs, _clock, 1 << 30));
        var store = new WorkspaceStore(_blobs);

        var pruned = await PruneAsync("deep/er", "small", "nothing", "deep/nothing", "link", "link/x", "small/x", "deep/er/large");

        Assert.Equal(["deep/er/large", "link", "small"], (await store.ListAsync(pruned!.Value, 100, default)).Select(f => f.Name));
        Assert.Equal(pruned, await PruneAsync("small", "link", "deep/er"));
        var other = Directory.CreateDirectory(Path.Combine(_directory, "other")).FullName;
        using (var folder = Open(other))
            Assert.Null(await new Workspace(_blobs, _clock, 1 << 30).RestoreAsync(folder, pruned, default));
        foreach (var gone in new[] { "deep/medium", "sparse" })
            File.Delete(Path.Combine(_files, gone));
        Assert.Equal(Digest(_files), Digest(other));

        // Pruned once more it is itself, and its blobs alone outlive a sweep.
        Assert.Equal(pruned, Assert.IsType<PruneOutcome.Pruned>(await store.PruneAsync(pruned.Value, ["small", "link", "deep/er"], default)).Root);
        for (var i = 0; i < 3; i++)
        {
            _clock.Advance(Longer);
            Assert.Empty((await SweepAsync(pruned.Value)).Unreadable);
        }

        Assert.Equal(9_000_000, (await store.ReadFileAsync(pruned.Value, "deep/er/large", default))!.Value.Length);
        Assert.Equal(ErrorCodes.BlobMissing, Assert.IsType<PruneOutcome.Failed>(await store.PruneAsync(root, ["small"], default)).Failure.Code);

        async Task<WorkspaceRoot?> PruneAsync(params string[] paths) => Assert.IsType<PruneOutcome.Pruned>(await store.PruneAsync(root, paths, default)).Root;
    }

    [Fact]
    public async Task Where_no_path_leads_anywhere_there_is_no_workspace()
    {
        var root = await SaveAsync(new Workspace(_blobs, _clock, 1 << 30));

        Assert.Null(Assert.IsType<PruneOutcome.Pruned>(await new WorkspaceStore(_blobs).PruneAsync(root, ["nothing", "deep/none"], default)).Root);
    }

    [Fact]
    public void What_is_no_tree_is_told_as_corrupt() =>
        Assert.Equal(ErrorCodes.DatabaseCorrupt, Assert.Throws<CaissonException>(() => new WorkspaceTrees().Children("a", Encoding.ASCII.GetBytes("just text"))).Code);

    private async Task<WorkspaceRoot> SaveAsync(Workspace workspace)
    {
        using var folder = Open(_files);
        return Assert.IsType<WorkspaceSaveOutcome.Saved>(await workspace.SaveAsync(folder, default)).Root;
    }

    private Task<SweepReport> SweepAsync(params WorkspaceRoot[] roots) =>
        _blobs.SweepAsync(roots.Select(r => new BlobReference(r.Hash, true)).ToAsyncEnumerable(), new WorkspaceTrees(), default);

    private static Microsoft.Win32.SafeHandles.SafeFileHandle Open(string path) =>
        Libc.Open(Libc.CurrentDirectory, Encoding.UTF8.GetBytes(path), Libc.ReadOnly | Libc.Directory);

    private void Write(string name, int size) => File.WriteAllBytes(Path.Combine(_files, name), RandomNumberGenerator.GetBytes(size));

    private static string Digest(string folder) => string.Join('\n', new DirectoryInfo(folder).EnumerateFileSystemInfos("*", SearchOption.AllDirectories)
        .OrderBy(f => f.FullName, StringComparer.Ordinal)
        .Select(f => $"{Path.GetRelativePath(folder, f.FullName)} {f.LinkTarget} {(f is FileInfo { LinkTarget: null } ? Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f.FullName))) : "")}"));

    private sealed class HandClock : TimeProvider
    {
        private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

        public void Advance(TimeSpan by) => _now += by;

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
