using System.Runtime.CompilerServices;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Reaping;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests;

/// <summary>
/// The kinds of boxes that the suites run against. A required one that this host does not offer is a failure; another
/// one is skipped then.
/// </summary>
internal static class BoxKinds
{
    public static readonly string[] All = ["microvm", "gvisor", "bubblewrap"];

    private static readonly string[] Required = ["gvisor", "bubblewrap"];

    public static bool IsRequired(string kind) => Required.Contains(kind);

    public static BoxProvider Open(string kind, SandboxOptions options, IBlobStore blobs)
    {
        var host = new BoxHost(options, blobs, TimeProvider.System, NullLogger.Instance);
        return kind switch
        {
            "microvm" => BoxProvider.MicroVm(host, ownsHost: true),
            "gvisor" => BoxProvider.GVisor(host, ownsHost: true),
            "bubblewrap" => BoxProvider.Bubblewrap(host, ownsHost: true),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
        };
    }

    /// <summary>The program that a box of this kind hangs on, as the host's list of processes names it.</summary>
    public static string Runtime(string kind) => kind switch { "gvisor" => "runsc-sandbox", "bubblewrap" => "bwrap", _ => "qemu-system" };
}

/// <summary>
/// A provider of real boxes of one kind, in a folder of its own, and one box that tests share which leave it as it was.
/// </summary>
/// <param name="emulated">Whether an emulated machine will do, which is offered to no run: its walls inside are the same, and slow.</param>
public abstract class Boxes(string kind, bool emulated = false) : IAsyncLifetime
{
    private ISandbox? _shared;
    private Task<IReadOnlyDictionary<string, string>>? _containment;

    public string Kind => kind;

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("caisson-sandboxes-").FullName;

    public string State => Path.Combine(Directory, "state", "boxes");

    /// <summary>A secret file of the host.</summary>
    public string Canary => Path.Combine(Directory, "canary");

    public BoxProvider Provider { get; private set; } = null!;

    public FileBlobStore Blobs { get; private set; } = null!;

    /// <summary>Why this host has no such boxes.</summary>
    public string? Absent { get; private set; }

    public ISandbox Shared
    {
        get
        {
            Assert.SkipWhen(Absent is not null, Absent ?? "");
            return _shared!;
        }
    }

    /// <summary>What the probes of containment saw; they run once. The tests of one collection run in turn.</summary>
    internal Task<IReadOnlyDictionary<string, string>> ContainAsync() => _containment ??= Containment.Suite.RunAsync(this);

    public static string Guest => Path.Combine(AppContext.BaseDirectory, "caisson-guest");

    public async ValueTask InitializeAsync()
    {
        Blobs = new FileBlobStore(Path.Combine(Directory, "blobs"), new byte[32]);
        await File.WriteAllTextAsync(Canary, "host secret");
        Provider = BoxKinds.Open(kind, Options(Directory), Blobs);
        var probe = await Provider.ProbeAsync(default);
        if (probe.Offered || (emulated && probe.Detail.Contains("emulated", StringComparison.Ordinal)))
            _shared = await CreateAsync();
        else if (BoxKinds.IsRequired(kind))
            Assert.Fail($"this host offers no {kind}: {probe.Detail}. {probe.Remedy}");
        else
            Absent = probe.Detail;
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await Provider.DisposeAsync();
        var left = await Provider.ListResidueAsync(default);
        System.IO.Directory.Delete(Directory, recursive: true);
        Assert.Empty(left);
    }

    public static SandboxOptions Options(string directory) => new() { StateDirectory = Path.Combine(directory, "state"), GuestPath = Guest, StartTimeout = TimeSpan.FromSeconds(60) };

    /// <summary>Another provider of the same kind.</summary>
    public BoxProvider Another(SandboxOptions options, IBlobStore? blobs = null)
    {
        Assert.SkipWhen(Absent is not null, Absent ?? "");
        return BoxKinds.Open(kind, options, blobs ?? Blobs);
    }

    public string FolderOf(ISandbox box) => Path.Combine(State, box.Id);

    /// <summary>The programs of the host that a box stands on. QEMU, which knows of its box's folder by open numbers alone, is found in the cgroup.</summary>
    public IReadOnlyList<(int Id, string Command)> ProcessesOf(ISandbox box)
    {
        var known = HostProcesses.OfBoxes(FolderOf(box));
        if (kind != "microvm")
            return [.. known];
        var layout = Cgroups.CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), Options(Directory).EffectivePrefix)!;
        var machines = new Cgroups.BoxCgroup(layout, box.Id, TimeProvider.System).Processes()
            .Select(pid => (Id: pid, Command: File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ')))
            .Where(p => p.Command.Split(' ')[0].Contains("qemu-system", StringComparison.Ordinal));
        return [.. known, .. machines];
    }

    public Task<ISandbox> CreateAsync(SandboxSettings? limits = null, WorkspaceRoot? workspace = null) =>
        CreateAsync(new SandboxSpec(default, 1, limits ?? new SandboxSettings(), workspace));

    public async Task<ISandbox> CreateAsync(SandboxSpec spec)
    {
        Assert.SkipWhen(Absent is not null, Absent ?? "");
        var outcome = await Provider.CreateAsync(spec, default);
        return Assert.IsType<SandboxCreateOutcome.Started>(outcome).Sandbox;
    }
}

internal static class BoxExtensions
{
    public static ExecRequest Shell(string script, TimeSpan? timeout = null, string input = "", int maxOutput = 1 << 20, string? directory = null) => new(
        ["/bin/sh", "-c", script], directory, new Dictionary<string, string>(), Encoding.UTF8.GetBytes(input), timeout ?? TimeSpan.FromSeconds(60), maxOutput);

    public static Task<ExecOutcome> RunAsync(this ISandbox box, string script, TimeSpan? timeout = null, string input = "") =>
        box.ExecAsync(Shell(script, timeout, input), default);

    /// <summary>Runs a script that must succeed; answers what it wrote, without the last line's end.</summary>
    public static async Task<string> MustAsync(this ISandbox box, string script, [CallerArgumentExpression(nameof(script))] string? what = null)
    {
        var outcome = await box.RunAsync(script);
        Assert.True(outcome is ExecOutcome.Exited, $"{what}: {outcome}");
        var exited = (ExecOutcome.Exited)outcome;
        Assert.True(exited.ExitCode == 0, $"{what}: exit {exited.ExitCode}: {Text(exited.Output)} {Text(exited.Error)}");
        return Text(exited.Output).TrimEnd('\n');
    }

    public static string Text(this BoundedOutput output) => Encoding.UTF8.GetString(output.Head.Span) + Encoding.UTF8.GetString(output.Tail.Span);

    public static async Task<WorkspaceRoot> SavedAsync(this ISandbox box)
    {
        var saved = Assert.IsType<WorkspaceSaveOutcome.Saved>(await box.SaveWorkspaceAsync(default));
        await box.ThawAsync(default);
        return saved.Root;
    }
}

internal static class Eventually
{
    /// <summary>Waits until the condition holds. A failure says what was waited for and what was last seen.</summary>
    public static async Task<T> SeesAsync<T>(Func<Task<T>> look, Func<T, bool> condition, TimeSpan? limit = null, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        var end = TimeProvider.System.GetTimestamp() + (limit ?? TimeSpan.FromSeconds(15)).Ticks * TimeProvider.System.TimestampFrequency / TimeSpan.TicksPerSecond;
        while (true)
        {
            var seen = await look();
            if (condition(seen))
                return seen;
            Assert.True(TimeProvider.System.GetTimestamp() < end, $"{what} did not come true; last seen: {seen}");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        }
    }
}
