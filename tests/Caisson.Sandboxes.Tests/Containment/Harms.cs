using System.Net.Sockets;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Workspaces;

namespace Caisson.Sandboxes.Tests.Containment;

/// <summary>What a box does to its limits, its files and its neighbours. Each is judged from outside.</summary>
internal static class Harms
{
    private const string Limits = "Limits", Workspace = "The workspace, seen from outside", Neighbours = "Neighbours",
        Held = "held, and killed at the time limit";

    public static readonly IReadOnlyList<Harm> All =
    [
        new(Limits, "a memory bomb", "ends its box: sandbox_oom", MemoryBombAsync),
        new(Limits, "a fork bomb", "ends its box: sandbox_pids", ForkBombAsync)
        {
            // gVisor's kernel itself dies of the refused fork; with a Linux kernel below only the command does.
            Otherwise = new Dictionary<string, string> { ["bubblewrap"] = Held, ["microvm"] = Held },
        },
        new(Limits, "filling the disk", "no space left; the box lives", FillDiskAsync),
        new(Limits, "filling the disk with empty files", "no space left; the box lives", FillInodesAsync),
        new(Limits, "filling /tmp and /dev/shm", "no space left; the box lives", FillTemporaryAsync),
        new(Limits, "a flood of output", "blocked and cut, with a count", FloodAsync),
        new(Limits, "ignoring every signal, and leaving processes behind", "killed at the time limit", IgnoreSignalsAsync),
        new(Workspace, "links to a file of the host", "saved as links, never followed", LinksAsync),
        new(Workspace, "a file of 1 TiB with holes", "saved in seconds", SparseFileAsync),
        new(Workspace, "names with newlines and broken UTF-8", "listed and saved", NamesAsync),
        new(Workspace, "pipes, sockets and devices in place of files", "refused, without waiting", SpecialFilesAsync),
        new(Neighbours, "files, sockets and processes of another box", "not there", NeighbourAsync),
        new(Neighbours, "a connection with a forged token", "ends its box: sandbox_protocol", ForgedTokenAsync),
    ];

    private static async Task<string> MemoryBombAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync(new SandboxSettings { MemoryBytes = 128L << 20 });
        await box.MustAsync("head -c 20m /dev/zero | tail | wc -c");

        var first = Assert.IsType<ExecOutcome.Lost>(await box.RunAsync("head -c 300m /dev/zero | tail", TimeSpan.FromSeconds(60)));
        var second = Assert.IsType<ExecOutcome.Lost>(await box.RunAsync("true"));

        Assert.Equal(first.Failure.Code, second.Failure.Code);
        await box.DestroyAsync();
        return $"ends its box: {first.Failure.Code}";
    }

    private static async Task<string> ForkBombAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync(new SandboxSettings { Pids = 256 });
        await box.MustAsync("for i in $(seq 50); do sleep 0.1 & done; wait");

        var bomb = box.RunAsync("b() { b | b & }; b; sleep 30", TimeSpan.FromSeconds(3));
        while (!bomb.IsCompleted)
            Assert.Equal("neighbour", await boxes.Shared.MustAsync("echo neighbour"));
        var outcome = await bomb;

        if (outcome is ExecOutcome.TimedOut)
            Assert.Equal("alive", await box.MustAsync("[ $(ps axo pid,args | grep -c '[s]h -c b') = 0 ] && echo alive"));
        await box.DestroyAsync();
        return outcome is ExecOutcome.Lost lost ? $"ends its box: {lost.Failure.Code}" : Held;
    }

    private static async Task<string> FillDiskAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync(new SandboxSettings { DiskBytes = 32L << 20 });
        await box.MustAsync("head -c 1m /dev/zero > control; rm control");

        var fill = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync("head -c 100m /dev/zero > fill"));
        var write = await box.WriteFileAsync("more", new byte[1 << 20], default);

        Assert.NotEqual(0, fill.ExitCode);
        Assert.Equal(ErrorCodes.SandboxDisk, Assert.IsType<FileWriteOutcome.Refused>(write).Failure.Code);
        Assert.Equal("fill", await box.MustAsync("ls -A"));
        await box.DestroyAsync();
        return NoSpace(fill);
    }

    private static async Task<string> FillInodesAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync(new SandboxSettings { DiskBytes = 16L << 20 });
        await box.MustAsync("touch control; rm control");

        var fill = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync("python3 -c 'for i in range(100000): open(str(i), \"w\").close()'", TimeSpan.FromSeconds(60)));
        await box.MustAsync("python3 -c 'import os; [os.unlink(f) for f in os.listdir()]'; touch again");

        await box.DestroyAsync();
        return NoSpace(fill);
    }

    private static async Task<string> FillTemporaryAsync(Boxes boxes)
    {
        await boxes.Shared.MustAsync("head -c 1m /dev/zero > /tmp/control; rm /tmp/control");

        var tmp = Assert.IsType<ExecOutcome.Exited>(await boxes.Shared.RunAsync("head -c 400m /dev/zero > /tmp/fill; rm /tmp/fill"));
        var shm = Assert.IsType<ExecOutcome.Exited>(await boxes.Shared.RunAsync("head -c 400m /dev/zero > /dev/shm/fill; rm /dev/shm/fill"));

        await boxes.Shared.MustAsync("true");
        Assert.Equal(NoSpace(tmp), NoSpace(shm));
        return NoSpace(tmp);
    }

    private static string NoSpace(ExecOutcome.Exited fill) =>
        fill.Error.Text().Contains("No space left on device", StringComparison.Ordinal) ? "no space left; the box lives" : fill.Error.Text();

    private static async Task<string> FloodAsync(Boxes boxes)
    {
        var output = Assert.IsType<ExecOutcome.TimedOut>(await boxes.Shared.ExecAsync(BoxExtensions.Shell("yes", TimeSpan.FromSeconds(1), maxOutput: 4096), default)).Output;

        Assert.Equal(4096, output.Head.Length + output.Tail.Length);
        return output.CutBytes > 1 << 20 && output.CutBytes == output.TotalBytes - 4096 ? "blocked and cut, with a count" : $"{output.TotalBytes} bytes";
    }

    private static async Task<string> IgnoreSignalsAsync(Boxes boxes)
    {
        Assert.Equal("kept", await boxes.Shared.MustAsync("trap '' TERM; kill -TERM $$; echo kept"));

        var outcome = await boxes.Shared.RunAsync("trap '' TERM INT HUP QUIT USR1 USR2 ALRM; (setsid sh -c \"trap '' TERM; sleep 4242\" &); while :; do :; done", TimeSpan.FromSeconds(1));

        Assert.Equal("", await boxes.Shared.MustAsync("ps axo args | grep '[s]leep 4242' || true"));
        return outcome is ExecOutcome.TimedOut ? "killed at the time limit" : $"{outcome}";
    }

    private static async Task<string> LinksAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync($"ln -s {boxes.Canary} leak; ln -s {Path.GetDirectoryName(boxes.Canary)} folder; ln -s leak chain; ln -s /workspace/real around; echo real > real; mkdir -p sub; ln -s ../../../../../../../..{boxes.Canary} sub/up");
        Assert.IsType<FileReadOutcome.Found>(await box.ReadFileAsync("real", 100, default));

        foreach (var path in new[] { "leak", $"folder/{Path.GetFileName(boxes.Canary)}", "chain", "around", "sub/up" })
            Assert.IsType<FileReadOutcome.Refused>(await box.ReadFileAsync(path, 100, default));
        var root = await box.SavedAsync();
        await box.DestroyAsync();

        var store = new WorkspaceStore(boxes.Blobs);
        Assert.Equal("real\n"u8.ToArray(), (await store.ReadFileAsync(root, "real", default))!.Value.ToArray());
        foreach (var path in new[] { "leak", $"folder/{Path.GetFileName(boxes.Canary)}", "chain", "sub/up" })
            Assert.Null(await store.ReadFileAsync(root, path, default));
        return (await store.ListAsync(root, 100, default)).Count(e => e.Kind == "link") == 5 ? "saved as links, never followed" : "saved otherwise";
    }

    private static async Task<string> SparseFileAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("truncate -s 1T huge; printf end | dd of=huge bs=1 seek=500000000000 conv=notrunc 2>/dev/null");

        var start = TimeProvider.System.GetTimestamp();
        await box.SavedAsync();
        var took = TimeProvider.System.GetElapsedTime(start);

        await box.DestroyAsync();
        return took < TimeSpan.FromSeconds(5) ? "saved in seconds" : $"{took}";
    }

    private static async Task<string> NamesAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("python3 -c \"for n in (b'new\\nline', b'inv\\xff\\xfealid', b'-rf', b'x' * 255): open(n, 'w').write('x')\"");

        var listed = Assert.IsType<FileListOutcome.Listed>(await box.ListFilesAsync("", 100, default));
        var root = await box.SavedAsync();
        await box.DestroyAsync();

        return listed.Entries.Count == 4 && (await new WorkspaceStore(boxes.Blobs).ListAsync(root, 100, default)).Count == 4 ? "listed and saved" : "lost";
    }

    private static async Task<string> SpecialFilesAsync(Boxes boxes)
    {
        var box = boxes.Shared;
        await box.MustAsync("mkdir -p special; cd special; mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'; ln -s /dev/zero zero; echo plain > plain");
        Assert.IsType<FileReadOutcome.Found>(await box.ReadFileAsync("special/plain", 100, default));

        foreach (var name in new[] { "pipe", "socket", "zero" })
            Assert.IsType<FileReadOutcome.Refused>(await box.ReadFileAsync("special/" + name, 100, default).WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System));
        Assert.IsType<WorkspaceSaveOutcome.Saved>(await box.SaveWorkspaceAsync(default));

        await box.MustAsync("rm -r special");
        return "refused, without waiting";
    }

    private static async Task<string> NeighbourAsync(Boxes boxes)
    {
        const string Script = """
            import os, socket, sys, time
            s = socket.socket(socket.AF_UNIX)
            if sys.argv[1:] == ['hold']:
                s.bind('\0neighbour'); s.listen(); open('ready', 'w').close(); time.sleep(600)
            seen = [f for f in ('/tmp/neighbour', '/dev/shm/neighbour', '/workspace/neighbour') if os.path.exists(f)]
            for pid in filter(str.isdigit, os.listdir('/proc')):
                if open(f'/proc/{pid}/cmdline').read().endswith('\0hold\0'): seen.append('process')
            try: s.connect('\0neighbour'); seen.append('socket')
            except OSError: pass
            print(' '.join(seen))
            """;
        var shared = boxes.Shared;
        await shared.WriteFileAsync("neighbour.py", Encoding.UTF8.GetBytes(Script), default);
        await shared.MustAsync("touch /tmp/neighbour /dev/shm/neighbour /workspace/neighbour");
        using var done = new CancellationTokenSource();
        var holding = shared.ExecAsync(new ExecRequest(["python3", "neighbour.py", "hold"], null, new Dictionary<string, string>(), default, TimeSpan.FromMinutes(1), 1000), done.Token);
        await Eventually.SeesAsync(() => shared.MustAsync("ls"), names => names.Contains("ready", StringComparison.Ordinal));
        Assert.Equal("/tmp/neighbour /dev/shm/neighbour /workspace/neighbour process socket", await shared.MustAsync("python3 neighbour.py"));

        var other = await boxes.CreateAsync();
        await other.WriteFileAsync("neighbour.py", Encoding.UTF8.GetBytes(Script), default);
        var seen = await other.MustAsync("python3 neighbour.py");

        await other.DestroyAsync();
        await done.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => holding);
        await shared.MustAsync("rm -r /tmp/neighbour /dev/shm/neighbour neighbour neighbour.py ready");
        return seen.Length == 0 ? "not there" : seen;
    }

    private static async Task<string> ForgedTokenAsync(Boxes boxes)
    {
        var box = await boxes.CreateAsync();
        await box.MustAsync("true");

        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(boxes.FolderOf(box), "io", "io.sock")));
        await socket.SendAsync((byte[])[20, 0, 0, 0, 32, .. new byte[20]]);
        var lost = (ExecOutcome.Lost)await Eventually.SeesAsync(() => box.RunAsync("true"), outcome => outcome is ExecOutcome.Lost);

        await box.DestroyAsync();
        return $"ends its box: {lost.Failure.Code}";
    }
}
