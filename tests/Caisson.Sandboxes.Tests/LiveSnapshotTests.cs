using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests;

[Collection("gvisor")]
public sealed class LiveSnapshotTests : IAsyncLifetime
{
    private const long Room = 1L << 30;

    private static readonly SandboxSpec Spec = new(default, 1, new SandboxSettings { DiskBytes = 64L << 20, MemoryBytes = 256L << 20 }, null);
    private static readonly CheckpointMark Mark = new(new RunId(Guid.Parse("0193f1c0-0000-7000-8000-00000000000f")), 40, 3, 7, "root");
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly string _directory = Directory.CreateTempSubdirectory("caisson-forks-").FullName;
    private BoxHost _host = null!;
    private BoxProvider _gvisor = null!, _bubblewrap = null!;
    private LiveSnapshots _snapshots = null!;

    public async ValueTask InitializeAsync()
    {
        Open(TimeSpan.FromHours(1));
        var probe = await _gvisor.ProbeAsync(default);
        Assert.True(probe.Offered, probe.Detail);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync();
        var left = await _gvisor.ListResidueAsync(default);
        Directory.Delete(_directory, recursive: true);
        Assert.Empty(left);
    }

    [Fact]
    public async Task A_fork_goes_on_where_the_box_stood_and_the_box_goes_on_undisturbed()
    {
        var box = await CreateAsync();
        await box.MustAsync("echo common > file; echo temporary > /tmp/file");
        var told = 0;
        var counting = box.ExecAsync(Counter(() => told++), default);
        await Eventually.SeesAsync(() => Task.FromResult(told), n => n > 20);

        await TakeAsync("snap-1", box);
        var before = told;
        await Eventually.SeesAsync(() => Task.FromResult(told), n => n > before + 20);
        var one = await ForkAsync("snap-1");
        var other = await ForkAsync("snap-1");

        Assert.Equal("common temporary", await one.MustAsync("echo $(cat file /tmp/file)"));
        // What it writes is more than fits into what lies between it and a reader: somebody reads.
        foreach (var fork in new[] { one, other })
        {
            var first = await CountOfAsync(fork);
            await Eventually.SeesAsync(() => CountOfAsync(fork), n => n > first + 100, Limit);
        }

        await one.MustAsync("echo one >> file; touch stop");
        await Eventually.SeesAsync(() => one.MustAsync("ls"), names => names.Contains("ended", StringComparison.Ordinal));
        Assert.Equal("common", await other.MustAsync("cat file"));
        Assert.Equal("common", await box.MustAsync("cat file"));
        Assert.False(counting.IsCompleted);
        await one.FreezeAsync(default);
        Assert.Equal([(SandboxState.Running, "snap-1"), (SandboxState.Running, "snap-1")],
            _host.List().Where(b => b.Origin is not null).Select(b => (b.State, b.Origin!.Snapshot!)));
        Assert.All(_host.List().Where(b => b.Origin is not null), b => Assert.Equal((null, box.Id, (RunId?)Mark.Run, 40L), (b.Run, b.Origin!.Box, b.Origin.Run, b.Origin.Seq)));

        await box.MustAsync("touch stop");
        Assert.Equal(5, Assert.IsType<ExecOutcome.Exited>(await counting.WaitAsync(Limit, TimeProvider.System)).ExitCode);
        await Task.WhenAll(one.DestroyAsync(), other.DestroyAsync(), box.DestroyAsync());
        _snapshots.Remove("snap-1");
        Assert.Empty(_snapshots.List());
        Assert.Equal(ErrorCodes.SnapshotNotFound, Assert.IsType<SandboxCreateOutcome.Refused>(await _snapshots.ForkAsync("snap-1", default)).Failure.Code);
    }

    [Fact]
    public async Task A_fork_can_be_copied_and_a_box_more_than_once()
    {
        var box = await CreateAsync();
        await box.MustAsync("echo deep > /tmp/file");
        for (var round = 0; round < 3; round++)
            await TakeAsync($"snap-{round}", box);

        var child = await ForkAsync("snap-2");
        await TakeAsync("snap-child", child);
        var grandchild = await ForkAsync("snap-child");

        Assert.Equal("deep", await grandchild.MustAsync("cat /tmp/file"));
        Assert.Equal(["snap-0", "snap-1", "snap-2", "snap-child"], _snapshots.List().Select(s => s.Id).Order());
        Assert.Equal(child.Id, _snapshots.List().Single(s => s.Id == "snap-child").Box);
    }

    [Fact]
    public async Task What_cannot_be_copied_is_refused_in_a_line_and_goes_on()
    {
        var box = await CreateAsync();
        var opened = Assert.IsType<TerminalOutcome.Opened>(await box.OpenTerminalAsync(new TerminalRequest(["/bin/cat"], null, new Dictionary<string, string>(), new TerminalSize(24, 80)), default));
        await RefusedAsync(box, "terminal");
        await opened.Terminal.DisposeAsync();

        // More than the pipe takes, and nobody who reads it: the end of the input is not told yet.
        var reading = box.ExecAsync(BoxExtensions.Shell("echo > begun; while [ ! -e go ]; do sleep 0.05; done; cat > /dev/null", input: new string('x', 1 << 20)), default);
        await Eventually.SeesAsync(() => box.MustAsync("ls"), names => names.Contains("begun", StringComparison.Ordinal));
        await RefusedAsync(box, "standard input");
        await box.MustAsync("touch go");
        Assert.IsType<ExecOutcome.Exited>(await reading);

        await RefusedAsync(box, "sandbox.max_snapshot_bytes", room: 1 << 20);
        await File.WriteAllTextAsync(_host.Snapshots, "in the way", TestContext.Current.CancellationToken);
        await RefusedAsync(box, "goes on");
        File.Delete(_host.Snapshots);

        var open = await CreateAsync(Spec with { Forwards = [new BoxForward(8080, "egress", new Nothing())] });
        await RefusedAsync(open, "egress");
        var thin = Assert.IsType<SandboxCreateOutcome.Started>(await _bubblewrap.CreateAsync(Spec, default)).Sandbox;
        await RefusedAsync(thin, "bubblewrap");
        Assert.False(Directory.Exists(_host.Snapshots));
    }

    [Fact]
    public async Task The_next_start_removes_what_is_half_made_or_was_for_one_fork()
    {
        var box = await CreateAsync();
        await TakeAsync("snap-whole", box);
        await TakeAsync("passing", box, passing: true);
        await TakeAsync("snap-half", box);
        File.Delete(Path.Combine(_host.Snapshots, "snap-half", "note.json"));
        Assert.Equal("snap-whole", Assert.Single(_snapshots.List()).Id);

        await _host.DisposeAsync();
        Open(TimeSpan.FromSeconds(1));
        _host.Sweep();

        Assert.Equal(["snap-whole"], Directory.EnumerateDirectories(_host.Snapshots).Select(Path.GetFileName));

        // It is still good in another process, and a fork of it lives as long as it may.
        await ForkAsync("snap-whole");
        await Eventually.SeesAsync(() => Task.FromResult(_host.List()), all => all.Count == 0);
    }

    [Fact]
    public async Task A_fork_that_is_lost_is_removed_by_itself_and_counts_until_then()
    {
        var box = await CreateAsync();
        await TakeAsync("snap-1", box);
        var fork = await ForkAsync("snap-1");
        Assert.Equal(2, _host.List().Count);

        await fork.RunAsync("head -c 500000000 /dev/zero | tail", TimeSpan.FromSeconds(30));

        await Eventually.SeesAsync(() => Task.FromResult(Directory.Exists(Path.Combine(_directory, "state", "boxes", fork.Id))), there => !there);
        Assert.Equal("on", await box.MustAsync("echo on"));
    }

    private void Open(TimeSpan forkLife)
    {
        var options = new SandboxOptions { StateDirectory = Path.Combine(_directory, "state"), GuestPath = Boxes.Guest, StartTimeout = TimeSpan.FromSeconds(60), ForkLife = forkLife };
        _host = new BoxHost(options, new FileBlobStore(Path.Combine(_directory, "blobs"), new byte[32]), TimeProvider.System, NullLogger.Instance);
        (_gvisor, _bubblewrap) = (BoxProvider.GVisor(_host), BoxProvider.Bubblewrap(_host));
        _snapshots = new LiveSnapshots(_host, [_gvisor, _bubblewrap]);
    }

    private async Task<ISandbox> CreateAsync(SandboxSpec? spec = null) =>
        Assert.IsType<SandboxCreateOutcome.Started>(await _gvisor.CreateAsync(spec ?? Spec, default)).Sandbox;

    private async Task TakeAsync(string id, ISandbox box, bool passing = false)
    {
        var outcome = await _snapshots.TakeAsync(id, box.Id, Mark, Room, passing, default);
        Assert.True(outcome is LiveSnapshotOutcome.Taken, (outcome as LiveSnapshotOutcome.Refused)?.Failure.Message);
    }

    private async Task<ISandbox> ForkAsync(string id)
    {
        var outcome = await _snapshots.ForkAsync(id, default);
        Assert.True(outcome is SandboxCreateOutcome.Started, (outcome as SandboxCreateOutcome.Refused)?.Failure.Message);
        return ((SandboxCreateOutcome.Started)outcome).Sandbox;
    }

    private async Task RefusedAsync(ISandbox box, string word, long room = Room)
    {
        var refused = Assert.IsType<LiveSnapshotOutcome.Refused>(await _snapshots.TakeAsync("snap-refused", box.Id, Mark, room, false, default));
        Assert.Equal(ErrorCodes.SnapshotRefused, refused.Failure.Code);
        Assert.Contains(word, refused.Failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Failure.Message);
        Assert.Equal("on", await box.MustAsync("echo on"));
        Assert.Empty(_snapshots.List());
    }

    private static async Task<int> CountOfAsync(ISandbox box) => int.Parse(await box.MustAsync("cat n || echo 0"), CultureInfo.InvariantCulture);

    /// <summary>Writes 8 KB at each step, and its number into a file that is never half there.</summary>
    private static ExecRequest Counter(Action told) => BoxExtensions.Shell(
        "pad=$(head -c 8000 /dev/zero | tr '\\0' .); i=0; while [ ! -e stop ]; do i=$((i+1)); echo $pad; echo $i > n.new; mv n.new n; done; touch ended; exit 5", TimeSpan.FromMinutes(2)) with
    {
        Observe = (_, _) =>
        {
            told();
            return ValueTask.CompletedTask;
        },
    };

    private sealed class Nothing : IBoxService
    {
        public Task ServeAsync(Stream connection, CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
