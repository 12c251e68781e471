using System.Collections.Concurrent;
using System.ComponentModel;
using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Protocol;
using Caisson.Sandboxes.Reaping;
using Caisson.Sandboxes.Workspaces;
using Microsoft.Extensions.Logging;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// What the boxes of one server have in common: their folders, cgroups and root tree, and their start.
/// <para>The start of a box, of whatever kind:</para>
/// <list type="number">
/// <item>intent: the box's folder, with who makes it;</item>
/// <item>disk: a sparse image with a file system;</item>
/// <item>cgroup with its limits, sockets, what the kind needs;</item>
/// <item>launcher: namespaces, mount, the kind's program in the cgroup;</item>
/// <item>the guest agent dials and says hello;</item>
/// <item>workspace: restored from the host's side before any command can run.</item>
/// </list>
/// A failure at any of them removes what stands.
/// </summary>
public sealed class BoxHost : IAsyncDisposable
{
    private const int IdBytes = 8;
    private static readonly TimeSpan MakeDiskLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5), RemoveLimit = TimeSpan.FromSeconds(15);

    private readonly IBlobStore _blobs;
    private readonly ILogger _logger;
    private readonly string _boxes;
    private readonly string _tree;
    private readonly SemaphoreSlim _starts = new(Environment.ProcessorCount + 1);
    private readonly SemaphoreSlim _preparing = new(1);
    private readonly ConcurrentDictionary<string, LiveBox> _live = new();
    private readonly CgroupLayout? _layout;
    private HostTools? _tools;

    /// <summary>Does nothing on the host yet; the first probe or box prepares the state directory.</summary>
    public BoxHost(SandboxOptions options, IBlobStore blobs, TimeProvider time, ILogger logger)
    {
        Options = options;
        _blobs = blobs;
        Time = time;
        _logger = logger;
        var state = Path.GetFullPath(options.StateDirectory);
        _boxes = Path.Combine(state, "boxes");
        _tree = Path.Combine(state, "tree");
        _layout = OperatingSystem.IsLinux() ? CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), options.EffectivePrefix) : null;
    }

    internal SandboxOptions Options { get; }

    /// <summary>The guest agent's file. Valid once prepared.</summary>
    internal string GuestPath => _tools!.Guest;

    internal TimeProvider Time { get; }

    /// <summary>Ends all boxes that are left, whatever their kind.</summary>
    public async ValueTask DisposeAsync()
    {
        await EndAllAsync(null);
        if (_layout is not null)
            foreach (var parent in _layout.Parents)
                BoxCgroup.TryRemove(parent);
        _starts.Dispose();
        _preparing.Dispose();
    }

    internal Task EndAllAsync(string? kind) =>
        Task.WhenAll(_live.Values.Where(l => kind is null || l.Kind == kind).Select(l => l.Box).OfType<Box>().Select(b => b.DestroyAsync()));

    /// <summary>Of the boxes of one kind; <c>null</c> on a host that can have none.</summary>
    internal Reaper? Reaper(string kind) => _layout is null ? null : new Reaper(_layout, _boxes, kind, Time, _live.ContainsKey);

    /// <summary>Finds the tools and builds the tree that boxes share, once; or answers, in words, what is missing.</summary>
    internal async Task<string?> PrepareAsync(CancellationToken cancellationToken)
    {
        if (_tools is not null)
            return null;
        await _preparing.WaitAsync(cancellationToken);
        try
        {
            if (_tools is not null)
                return null;
            if (_layout is null)
                return "cgroups with memory, cpu, pids and freezer (version 1) or version 2 are not mounted";
            if (!Environment.IsPrivilegedProcess)
                return "the server does not run as root, which limits and workspaces need";
            var (tools, lacking) = HostTools.Find(Options);
            if (tools is null)
                return lacking;
            Directory.CreateDirectory(_boxes, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            BoxTree.Build(_tree, tools.Guest);
            _tools = tools;
            return null;
        }
        catch (IOException e)
        {
            return $"the state directory cannot be prepared: {e.Message}";
        }
        catch (CaissonException e)
        {
            return e.Message;
        }
        finally
        {
            _preparing.Release();
        }
    }

    internal async Task<SandboxCreateOutcome> StartAsync(IBoxKind kind, SandboxSpec spec, CancellationToken cancellationToken)
    {
        await _starts.WaitAsync(cancellationToken);
        try
        {
            return await StartOneAsync(kind, spec, cancellationToken);
        }
        finally
        {
            _starts.Release();
        }
    }

    private async Task<SandboxCreateOutcome> StartOneAsync(IBoxKind kind, SandboxSpec spec, CancellationToken cancellationToken)
    {
        var folder = new BoxFolder(_boxes, RandomNumberGenerator.GetHexString(2 * IdBytes, lowercase: true));
        var cgroup = new BoxCgroup(_layout!, folder.Id, Time);
        GuestLink? link = null;
        BoxProcess? process = null;
        Box? sandbox = null;
        IAsyncDisposable? carrier = null;
        Failure failure;
        _live[folder.Id] = new LiveBox(kind.Name, null);
        try
        {
            // 1. Intent.
            folder.Create();
            new BoxIntent(folder.Id, kind.Name, spec.Run.ToString(), spec.Epoch, Environment.ProcessId,
                HostProcesses.StartTime(Environment.ProcessId) ?? 0, cgroup.Directories, Time.GetUtcNow()).Write(folder.Intent);

            // 2. Disk, while 3. the rest is made.
            var disk = MakeDiskAsync(folder.Image, spec.Limits.DiskBytes, cancellationToken);
            link = GuestLink.Listen(folder.Sockets, Time);
            var plan = await kind.PlanAsync(new BoxPlan(folder, _tree, spec.Limits, link.Break), cancellationToken);
            carrier = plan.Carrier;
            cgroup.Create(new BoxLimits(spec.Limits.MemoryBytes + plan.ExtraMemoryBytes, spec.Limits.Cpu, spec.Limits.Pids));
            await disk;

            // 4. Launcher, 5. hello.
            process = BoxProcess.Start(_tools!.Guest, LaunchArguments(folder, cgroup, plan));
            using var limit = new CancellationTokenSource(Options.StartTimeout, Time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
            var connecting = link.ConnectAsync(either.Token);
            var first = await Task.WhenAny(connecting, process.Exited, link.Lost);
            if (first == link.Lost)
            {
                await limit.CancelAsync();
                failure = await link.Lost;
            }
            else if (first == process.Exited)
            {
                await limit.CancelAsync();
                failure = new Failure(ErrorCodes.SandboxStartFailed, $"{kind.Name} ended with {process.ExitCode}: {await process.LastWordsAsync(Time)}", Retryable: true);
            }
            else if (await connecting is { } broken)
            {
                failure = broken;
            }
            else
            {
                // 6. Workspace. The mount is in the launcher's namespace alone; its root folder leads there.
                var path = System.Text.Encoding.UTF8.GetBytes($"/proc/{process.Id}/root{folder.Workspace}");
                var workspaceFolder = Libc.Open(Libc.CurrentDirectory, path, Libc.ReadOnly | Libc.Directory | Libc.NoFollow);
                var workspace = new Workspace(_blobs, Time, spec.Limits.DiskBytes);
                sandbox = new Box(folder, cgroup, process, link, plan, workspaceFolder, workspace, Time, _logger, Forget);
                _live[folder.Id] = new LiveBox(kind.Name, sandbox);
                var missing = spec.Workspace is null ? null : await workspace.RestoreAsync(workspaceFolder, spec.Workspace, cancellationToken);
                if ((missing ?? await sandbox.EquipAsync(spec, cancellationToken)) is not { } unfit)
                    return new SandboxCreateOutcome.Started(sandbox);
                failure = unfit;
            }
        }
        catch (CaissonException e)
        {
            failure = e.ToFailure();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Win32Exception)
        {
            failure = new Failure(ErrorCodes.SandboxStartFailed, $"the box was not started: {e.Message}", Retryable: true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            failure = new Failure(ErrorCodes.SandboxStartFailed, $"the box did not answer within {Options.StartTimeout}: {process?.Errors}", Retryable: true);
        }
        catch (OperationCanceledException)
        {
            await UndoAsync();
            throw;
        }

        await UndoAsync();
        _logger.LogWarning("Box {Box} was not started: {Code} {Message}", folder.Id, failure.Code, failure.Message);
        return new SandboxCreateOutcome.Refused(failure);

        async Task UndoAsync()
        {
            if (sandbox is not null)
            {
                await sandbox.DestroyAsync();
                return;
            }

            if (process is not null)
                await process.End(EndLimit, Time);
            if (carrier is not null)
                await carrier.DisposeAsync();
            link?.Dispose();
            await cgroup.RemoveAsync(RemoveLimit);
            process?.Dispose();
            await folder.RemoveAsync(RemoveLimit, Time);
            _live.TryRemove(folder.Id, out _);
        }
    }

    private void Forget(Box sandbox) => _live.TryRemove(sandbox.Id, out _);

    private async Task MakeDiskAsync(string image, long bytes, CancellationToken cancellationToken)
    {
        using (var file = File.OpenHandle(image, FileMode.CreateNew, FileAccess.Write))
            RandomAccess.SetLength(file, bytes);
        // No journal: after a crash the image is never read again. No reserved blocks: root does not write there.
        var made = await OutsideProgram.RunAsync(_tools!.MakeFileSystem,
            ["-q", "-F", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", image], MakeDiskLimit, Time, cancellationToken);
        if (made.ExitCode != 0)
            throw new CaissonException(ErrorCodes.SandboxStartFailed, $"the workspace's disk was not made: {made.Output.Trim()}", isTransient: true);
    }

    private List<string> LaunchArguments(BoxFolder folder, BoxCgroup cgroup, LaunchPlan plan)
    {
        var (file, _, thaw) = cgroup.Freezer;
        var arguments = new List<string>
        {
            "launch", "--freeze", file, "--thaw", thaw, "--image", folder.Image, "--mount", folder.Mount, "--usr", Path.Combine(_tree, "usr"),
        };
        foreach (var procs in cgroup.ProcsFiles)
            arguments.AddRange(["--cgroup", procs]);
        return [.. arguments, .. plan.Options, "--", .. plan.Command];
    }

    private sealed record LiveBox(string Kind, Box? Box);
}
