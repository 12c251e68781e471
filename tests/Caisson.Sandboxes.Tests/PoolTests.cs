using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Bubblewrap;
using Caisson.Sandboxes.GVisor;
using Caisson.Sandboxes.MicroVm;
using Caisson.Sandboxes.Pool;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests;

[Collection("gvisor")]
public sealed class PoolTests(GVisorBoxes boxes)
{
    private const long Small = 48L << 20;

    private static readonly SandboxSpec Spec = new(new RunId(Guid.Parse("0193f1c0-0000-7000-8000-000000000001")), 3, new SandboxSettings { MemoryBytes = 96L << 20, Pids = 300 }, null);

    [Fact]
    public async Task A_box_that_stands_ready_is_given_to_one_run_with_its_limits_files_and_workspace()
    {
        await using var host = NewHost("pool", new SandboxOptions { StateDirectory = "", Pool = 2 });
        var provider = BoxProvider.GVisor(host);
        var first = await StartAsync(provider, Spec with { Limits = new SandboxSettings() });
        await first.MustAsync("mkdir saved; echo kept > saved/file");
        var root = await first.SavedAsync();
        var ready = await Eventually.SeesAsync(() => Task.FromResult(host.List().Where(b => b.State == SandboxState.Ready).Select(b => b.Id).ToHashSet()), ids => ids.Count == 2);

        var box = await StartAsync(provider, Spec with { Workspace = root, Files = new Dictionary<string, ReadOnlyMemory<byte>> { ["note"] = "for this run"u8.ToArray() } });

        Assert.Contains(box.Id, ready);
        Assert.Equal("kept for this run", await box.MustAsync("echo $(cat saved/file) $(cat /run/box/note)"));
        Assert.Equal(Spec.Run, host.List().Single(b => b.Id == box.Id).Run);
        // Its own limits, not those of the box that was asked for first.
        var oom = Assert.IsType<ExecOutcome.Lost>(await box.RunAsync("python3 -c 'x = bytearray(200 << 20)'"));
        Assert.Equal(ErrorCodes.SandboxOom, oom.Failure.Code);
        await box.DestroyAsync();

        var next = await StartAsync(provider, Spec);
        Assert.NotEqual(box.Id, next.Id);
        Assert.Equal("", await next.MustAsync("ls -A; ls -A /run/box /tmp | grep -v :"));
    }

    [Fact]
    public async Task A_box_that_died_while_it_stood_ready_is_not_given_away()
    {
        await using var host = NewHost("pool-dead", new SandboxOptions { StateDirectory = "", Pool = 1 });
        var provider = BoxProvider.GVisor(host);
        await (await StartAsync(provider, Spec)).DestroyAsync();
        var ready = await Eventually.SeesAsync(() => Task.FromResult(host.List().SingleOrDefault(b => b.State == SandboxState.Ready)), b => b is not null);

        var kernel = Reaping.HostProcesses.OfBoxes(ready!.Id).First(p => p.Command.Contains("launch", StringComparison.Ordinal));
        System.Diagnostics.Process.GetProcessById(kernel.Id).Kill();
        await Eventually.SeesAsync(() => Task.FromResult(host.List()), l => l.All(b => b.Id != ready.Id));
        var box = await StartAsync(provider, Spec);

        Assert.NotEqual(ready.Id, box.Id);
        Assert.Equal("1", await box.MustAsync("echo 1"));
    }

    [Fact]
    public async Task Past_the_most_boxes_the_next_one_waits_and_says_why()
    {
        await using var host = NewHost("full", new SandboxOptions { StateDirectory = "", MaxBoxes = 1 });
        var provider = BoxProvider.GVisor(host);
        var first = await StartAsync(provider, Spec);
        var told = new TaskCompletionSource<string>();

        var second = provider.CreateAsync(Spec with { Queued = reason => Task.FromResult(told.TrySetResult(reason)) }, default);
        Assert.Contains("1 of at most 1 boxes", await told.Task.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System), StringComparison.Ordinal);
        Assert.Equal(1, host.Pool().Waiting);
        Assert.False(second.IsCompleted);
        await first.DestroyAsync();

        Assert.Equal("in", await Assert.IsType<SandboxCreateOutcome.Started>(await second).Sandbox.MustAsync("echo in"));
    }

    [Fact]
    public async Task A_box_that_stands_ready_makes_room_for_another_sort()
    {
        await using var host = NewHost("room", new SandboxOptions { StateDirectory = "", MaxBoxes = 1, Pool = 1 });
        var provider = BoxProvider.GVisor(host);
        await (await StartAsync(provider, Spec)).DestroyAsync();
        await Eventually.SeesAsync(() => Task.FromResult(host.List()), l => l.Any(b => b.State == SandboxState.Ready));

        var other = await StartAsync(provider, Spec with { Limits = Spec.Limits with { DiskBytes = 64L << 20 } });

        Assert.Equal("in", await other.MustAsync("echo in"));
    }

    [Fact]
    public async Task Who_gives_up_waiting_leaves_the_line()
    {
        await using var host = NewHost("leave", new SandboxOptions { StateDirectory = "", MaxBoxes = 1 });
        var provider = BoxProvider.GVisor(host);
        var first = await StartAsync(provider, Spec);
        using var giveUp = new CancellationTokenSource();
        var second = provider.CreateAsync(Spec with { Queued = _ => giveUp.CancelAsync() }, giveUp.Token);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);

        Assert.Equal(0, host.Pool().Waiting);
        await first.DestroyAsync();
        await (await StartAsync(provider, Spec)).DestroyAsync();
    }

    [Fact]
    public async Task The_line_is_first_come_first_served_and_moves_with_memory()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        var registry = new BoxRegistry();
        var free = 0L;
        using var admission = new BoxAdmission(registry, 100, 1L << 30, () => free, () => false, time);
        var order = new List<string>();
        var reasons = new List<string>();
        List<Task> waiting = [EnterAsync("a"), EnterAsync("b"), EnterAsync("c")];

        free = (1L << 30) + 2 * Small;
        time.Advance(TimeSpan.FromSeconds(1));
        await Task.WhenAll(waiting[0], waiting[1]).WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System);

        Assert.Equal(["a", "b"], order.Order(StringComparer.Ordinal));
        Assert.False(waiting[2].IsCompleted);
        Assert.Contains("MiB of memory are free", reasons[0], StringComparison.Ordinal);
        Assert.Contains("2 before it", reasons[2], StringComparison.Ordinal);
        Assert.False(admission.TryEnterIdle("idle", "kind", Small));
        registry.Forget("a");
        await waiting[2].WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System);

        async Task EnterAsync(string id)
        {
            await admission.EnterAsync(id, "kind", Small, reason => { reasons.Add(reason); return Task.CompletedTask; }, default);
            lock (order)
                order.Add(id);
        }
    }

    /// <summary>A machine takes several times what other boxes take: it waits where they would not, and they wait for what it is going to take.</summary>
    [Fact]
    public async Task What_a_start_is_going_to_take_is_counted_by_its_kind()
    {
        var registry = new BoxRegistry();
        using var admission = new BoxAdmission(registry, 100, 1L << 30, () => (1L << 30) + 4 * Small, () => false, new Microsoft.Extensions.Time.Testing.FakeTimeProvider());

        Assert.False(admission.TryEnterIdle("large", "machine", 5 * Small));
        Assert.True(admission.TryEnterIdle("medium", "machine", 3 * Small));
        Assert.True(admission.TryEnterIdle("one", "kind", Small));
        Assert.False(admission.TryEnterIdle("two", "kind", Small));
        registry.Forget("medium");
        Assert.True(admission.TryEnterIdle("two", "kind", Small));

        await using var host = NewHost("kinds", new SandboxOptions { StateDirectory = "" });
        IBoxKind[] kinds = [new BubblewrapKind(host.Options, TimeProvider.System), new GVisorKind(host.Options, TimeProvider.System), new MicroVmKind(host)];
        Assert.Equal(kinds.OrderBy(k => k.StartBytes), kinds);
        // An idle emulated machine was measured at 159 MiB.
        Assert.True(kinds[^1].StartBytes > 159L << 20);
    }

    private BoxHost NewHost(string name, SandboxOptions options) => new(
        new SandboxOptions
        {
            StateDirectory = Path.Combine(boxes.Directory, name), GuestPath = Boxes.Guest, Pool = options.Pool, MaxBoxes = options.MaxBoxes, Images = options.Images,
        },
        boxes.Blobs, TimeProvider.System, NullLogger.Instance);

    private static async Task<ISandbox> StartAsync(BoxProvider provider, SandboxSpec spec)
    {
        Assert.Null((await provider.ProbeAsync(default)).Remedy);
        return Assert.IsType<SandboxCreateOutcome.Started>(await provider.CreateAsync(spec, default)).Sandbox;
    }
}
