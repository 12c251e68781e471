using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Workspaces;

namespace Caisson.Sandboxes.Tests;

public abstract class WorkspaceTests(Boxes boxes)
{
    /// <summary>Names, kinds, modes, sizes, links and contents of everything, as the box sees it.</summary>
    private const string Digest = "find . -mindepth 1 -printf '%P|%y|%m|%l\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";

    private const string Odd = """
        import os
        os.makedirs(b'deep/er/est'); os.makedirs(b'empty')
        names = [b'plain', b'with space', b'new\nline', b'inv\xff\xfealid', b'-rf', b'quote"\'$(x)', 'ü'.encode(), b'x' * 255, b'deep/er/est/leaf', b'.hidden']
        for i, n in enumerate(names):
            with open(n, 'wb') as f: f.write(n * i)
        for size in (0, 1023, 1024, 1025, 65536, 4194304, 4194305, 9000000):
            with open('size-%d' % size, 'wb') as f: f.write((b'%d ' % size) * (size // 4 + 1)); f.truncate(size)
        os.symlink('/etc/passwd', 'absolute'); os.symlink('nowhere', 'dangling'); os.symlink(b'\xff\n', b'odd\xfflink'); os.symlink('..', 'deep/up')
        for mode in (0o755, 0o600, 0o444, 0o000, 0o4711):
            with open('mode-%o' % mode, 'w') as f: f.write('m')
            os.chmod('mode-%o' % mode, mode)
        os.chmod('empty', 0o700); os.chmod('deep/er', 0o750)
        """;

    [Fact]
    public async Task A_saved_workspace_comes_back_in_a_new_box_with_everything_in_it()
    {
        var first = await boxes.CreateAsync();
        await first.WriteFileAsync("/workspace/odd.py", Encoding.UTF8.GetBytes(Odd), default);
        await first.MustAsync("python3 odd.py; chmod 644 mode-0");
        var before = await first.MustAsync(Digest);
        var root = await first.SavedAsync();
        await first.DestroyAsync();

        var second = await boxes.CreateAsync(workspace: root);

        Assert.Equal(before, await second.MustAsync(Digest));
        Assert.Equal("agent", await second.MustAsync("find . -printf '%u\\n' | sort -u"));
        Assert.Equal(root, await second.SavedAsync());
        await second.MustAsync("echo more >> plain; mkdir empty/no-more");
        Assert.NotEqual(root, await second.SavedAsync());
        await second.DestroyAsync();
    }

    [Fact]
    public async Task Equal_trees_have_equal_roots_whenever_and_wherever_they_were_made()
    {
        var one = await boxes.CreateAsync();
        var two = await boxes.CreateAsync();
        await one.MustAsync("mkdir d; echo a > d/a; echo b > b; ln -s b c");
        await two.MustAsync("ln -s b c; echo b > b; mkdir d; echo x > d/a; echo a > d/a; touch -d 1999-01-01 b");

        var roots = (await one.SavedAsync(), await two.SavedAsync());

        Assert.Equal(roots.Item1, roots.Item2);
        await two.MustAsync("chmod 600 b");
        Assert.NotEqual(roots.Item1, await two.SavedAsync());
        await two.MustAsync("chmod 644 b");
        Assert.Equal(roots.Item1, await two.SavedAsync());
        await one.DestroyAsync();
        await two.DestroyAsync();
    }

    [Fact]
    public async Task A_live_box_is_put_back_exactly_and_sees_it_at_once()
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("mkdir -p keep/deep gone; echo one > keep/deep/file; echo two > changed; echo three > removed; ln -s changed link; echo dir > becomes-dir; mkdir becomes-file");
        var before = await box.MustAsync(Digest);
        var root = await box.SavedAsync();
        // Everything is in the box's own caches when it changes and when it comes back.
        await box.MustAsync("echo TWO > changed; rm removed; rm -r gone; ln -sfn /etc link; rm becomes-dir; mkdir -p becomes-dir/x; rmdir becomes-file; echo f > becomes-file; echo new > new; mkdir -p many/levels; touch many/levels/a; chmod 777 keep; cat changed; ls -R");
        var running = box.RunAsync("while :; do echo x >> scribble; sleep 0.01; done", TimeSpan.FromMinutes(1));
        await Eventually.SeesAsync(() => box.MustAsync("ls"), names => names.Contains("scribble", StringComparison.Ordinal));

        Assert.Null(await box.RestoreWorkspaceAsync(root, default));

        Assert.Equal(137, Assert.IsType<ExecOutcome.Exited>(await running).ExitCode);
        Assert.Equal(before, await box.MustAsync(Digest));
        Assert.Equal(root, await box.SavedAsync());
        Assert.Null(await box.RestoreWorkspaceAsync(null, default));
        Assert.Equal("", await box.MustAsync("ls -A"));
        await box.MustAsync("echo again > again; cat again");
        await box.DestroyAsync();
    }

    [Fact]
    public async Task What_was_written_without_any_sync_is_saved()
    {
        const string Script = """
            import mmap, os
            with open('mapped', 'wb') as f: f.write(b'.' * 8192)
            f = open('mapped', 'r+b'); m = mmap.mmap(f.fileno(), 8192); m[4096:4100] = b'here'
            g = open('open', 'w'); g.write('flushed'); g.flush()
            print('ready', flush=True)
            import time; time.sleep(60)
            """;
        var box = await boxes.CreateAsync();
        await box.WriteFileAsync("hold.py", Encoding.UTF8.GetBytes(Script), default);
        var running = box.RunAsync("python3 hold.py", TimeSpan.FromMinutes(1));
        await Eventually.SeesAsync(() => box.MustAsync("cat open 2>/dev/null || true"), text => text == "flushed");

        var saved = Assert.IsType<WorkspaceSaveOutcome.Saved>(await box.SaveWorkspaceAsync(default));

        var store = new WorkspaceStore(boxes.Blobs);
        Assert.Equal("flushed"u8.ToArray(), (await store.ReadFileAsync(saved.Root, "open", default))!.Value.ToArray());
        Assert.Equal("here"u8.ToArray(), (await store.ReadFileAsync(saved.Root, "mapped", default))!.Value.ToArray()[4096..4100]);
        await box.DestroyAsync();
        Assert.IsType<ExecOutcome.Lost>(await running);
    }

    [Fact]
    public async Task A_change_right_after_a_save_is_not_missed()
    {
        var box = await boxes.CreateAsync();
        var roots = new HashSet<WorkspaceRoot>();

        // The same size each time, and as soon after the save as a box can be.
        for (var i = 0; i < 20; i++)
        {
            await box.MustAsync($"printf %02d {i} > same");
            roots.Add(await box.SavedAsync());
        }

        Assert.Equal(20, roots.Count);
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_save_stores_only_what_is_new()
    {
        var counting = new CountingBlobs(boxes.Blobs);
        await using var provider = boxes.Another(Boxes.Options(Path.Combine(boxes.Directory, "counting")), counting);
        var box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null), default)).Sandbox;
        await box.MustAsync("mkdir a b; for i in $(seq 200); do head -c 3000 /dev/urandom > a/$i; done; sleep 0.1");

        await box.SavedAsync();
        var all = counting.TakeCount();
        await box.SavedAsync();
        var none = counting.TakeCount();
        await box.MustAsync("echo changed > a/7; sleep 0.1");
        await box.SavedAsync();
        var few = counting.TakeCount();

        // 200 files, two folders and the root; then a file small enough to stand in its folder, that folder and the root.
        Assert.Equal((203, 0, 2), (all, none, few));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task Sparse_and_special_files_cost_neither_time_nor_the_box()
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("truncate -s 1T huge; printf end | dd of=huge bs=1 seek=500000000000 conv=notrunc 2>/dev/null; mkfifo pipe; python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); s.bind(\"socket\")'; echo f > file");

        var root = await box.SavedAsync();
        await box.DestroyAsync();
        var second = await boxes.CreateAsync(workspace: root);

        Assert.Equal("file huge 1099511627776", await second.MustAsync("ls -A | xargs; stat -c %s huge") is var text ? text.Replace("\n", " ", StringComparison.Ordinal) : "");
        Assert.Equal("end", await second.MustAsync("dd if=huge bs=1 skip=500000000000 count=3 2>/dev/null"));
        Assert.Equal(root, await second.SavedAsync());
        await second.DestroyAsync();
    }

    [Fact]
    public async Task A_tree_too_deep_to_save_is_a_failure_of_the_save_alone()
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("python3 -c 'import os\nfor i in range(400): os.mkdir(\"d\"); os.chdir(\"d\")'");

        var failed = Assert.IsType<WorkspaceSaveOutcome.Failed>(await box.SaveWorkspaceAsync(default));

        Assert.Equal(ErrorCodes.SandboxDisk, failed.Failure.Code);
        Assert.Equal("d", await box.MustAsync("ls; rm -r d"));
        await box.SavedAsync();
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_full_disk_can_be_saved_and_one_too_small_is_told()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { DiskBytes = 32L << 20 });
        await box.RunAsync("head -c 100m /dev/urandom > fill");
        var root = await box.SavedAsync();
        await box.DestroyAsync();

        var small = await boxes.Provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings { DiskBytes = 20L << 20 }, root), default);

        Assert.Equal(ErrorCodes.SandboxDisk, Assert.IsType<SandboxCreateOutcome.Refused>(small).Failure.Code);
        await (await boxes.CreateAsync(new SandboxSettings { DiskBytes = 32L << 20 }, root)).DestroyAsync();
    }

    [Fact]
    public async Task An_unknown_root_is_refused_and_leaves_nothing()
    {
        var outcome = await boxes.Provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), new WorkspaceRoot(new string('0', 64))), default);

        Assert.Equal(ErrorCodes.DatabaseCorrupt, Assert.IsType<SandboxCreateOutcome.Refused>(outcome).Failure.Code);
        Assert.Empty(await boxes.Provider.ListResidueAsync(default));
    }

    [Fact]
    public async Task Files_of_a_saved_workspace_are_read_without_a_box_and_links_are_not_followed()
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("mkdir -p b/c a.d a; echo deep > b/c/file; ln -s b link; ln -s b/c/file file-link; head -c 9000000 /dev/urandom > big; echo 1 > a/1; echo 2 > a.d/2; sha256sum < big > sum");
        var root = await box.SavedAsync();
        var sum = await box.MustAsync("cut -c1-64 sum");
        await box.DestroyAsync();
        var store = new WorkspaceStore(boxes.Blobs);

        Assert.Equal("deep\n"u8.ToArray(), (await store.ReadFileAsync(root, "b/c/file", default))!.Value.ToArray());
        Assert.Equal(sum, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData((await store.ReadFileAsync(root, "/big", default))!.Value.Span)));
        foreach (var none in new[] { "link/c/file", "file-link", "b", "b/../big", "nothing", "", "big/x" })
            Assert.Null(await store.ReadFileAsync(root, none, default));
        var all = await store.ListAsync(root, 100, default);
        Assert.Equal(["a.d/2", "a/1", "b/c/file", "big", "file-link", "link", "sum"], all.Select(e => e.Name));
        Assert.Equal(("link", 9_000_000), (all[4].Kind, all[3].Size));
        Assert.Equal(["a.d/2", "a/1"], (await store.ListAsync(root, 2, default)).Select(e => e.Name));
    }

    private sealed class CountingBlobs(IBlobStore inner) : IBlobStore
    {
        private int _count;

        public int TakeCount() => Interlocked.Exchange(ref _count, 0);

        public Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken)
        {
            Interlocked.Add(ref _count, contents.Count);
            return inner.PutAsync(contents, cancellationToken);
        }

        public string AddressOf(ReadOnlySpan<byte> content) => inner.AddressOf(content);

        public Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken) => inner.GetAsync(address, cancellationToken);
    }
}
