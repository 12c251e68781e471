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

namespace Caisson.Sandboxes.GVisor;

/// <summary>
/// Boxes on gVisor's user-space kernel.
/// <para>The start of a box:</para>
/// <list type="number">
/// <item>intent: the box's folder, with who makes it;</item>
/// <item>disk: a sparse image with a file system;</item>
/// <item>cgroup with its limits, sockets, OCI bundle;</item>
/// <item>launcher: namespaces, mount, runsc in the cgroup;</item>
/// <item>the guest agent dials and says hello;</item>
/// <item>workspace: restored from the host's side before any command can run.</item>
/// </list>
/// A failure at any of them removes what stands.
/// </summary>
public sealed class GVisorProvider : ISandboxProvider
{
    private const int IdBytes = 8;
    private const long LeastDisk = 16L << 20, LargestDisk = 16L << 40, LeastMemory = 64L << 20;
    private const int LeastPids = 256;
    private const string Remedy = "Run scripts/setup as root: it installs runsc and builds the guest agent into " + SandboxOptions.ToolsDirectory + ".";
    private static readonly TimeSpan MakeDiskLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5), RemoveLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ProbeCommandLimit = TimeSpan.FromSeconds(10);

    private readonly SandboxOptions _options;
    private readonly IBlobStore _blobs;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _boxes;
    private readonly string _tree;
    private readonly SemaphoreSlim _starts = new(Environment.ProcessorCount + 1);
    private readonly SemaphoreSlim _preparing = new(1);
    private readonly ConcurrentDictionary<string, GVisorSandbox?> _live = new();
    private readonly CgroupLayout? _layout;
    private Tools? _tools;
    private SandboxProbe? _probe;

    /// <summary>Does nothing on the host yet; the first probe or box prepares the state directory.</summary>
    public GVisorProvider(SandboxOptions options, IBlobStore blobs, TimeProvider time, ILogger logger)
    {
        _options = options;
        _blobs = blobs;
        _time = time;
        _logger = logger;
        var state = Path.GetFullPath(options.StateDirectory);
        _boxes = Path.Combine(state, "boxes");
        _tree = Path.Combine(state, "tree");
        _layout = OperatingSystem.IsLinux() ? CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), options.EffectivePrefix) : null;
    }

    /// <inheritdoc/>
    public string Name => "gvisor";

    /// <inheritdoc/>
    public IsolationTier Tier => IsolationTier.Kernel;

    /// <inheritdoc/>
    public async Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken)
    {
        if (_probe is not null)
            return _probe;
        if (await PrepareAsync(cancellationToken) is { } missing)
            return new SandboxProbe(false, missing, Remedy);
        var spec = new SandboxSpec(default, 0, new SandboxSettings(), null);
        var created = await CreateAsync(spec, cancellationToken);
        if (created is SandboxCreateOutcome.Refused refused)
            return new SandboxProbe(false, refused.Failure.Message, Remedy);
        var sandbox = ((SandboxCreateOutcome.Started)created).Sandbox;
        try
        {
            // Runs, and cannot open what would change the host; that the shell can write at all is the control.
            const string Script = "echo x > /workspace/probe || exit 3; (: > /proc/sys/kernel/core_pattern) 2>/dev/null && exit 4; exit 0";
            var request = new ExecRequest(["/bin/sh", "-c", Script], null, new Dictionary<string, string>(), default, ProbeCommandLimit, 1024);
            return await sandbox.ExecAsync(request, cancellationToken) switch
            {
                ExecOutcome.Exited { ExitCode: 0 } => _probe = new SandboxProbe(true, $"{_tools!.Version}, {(_tools.HasSystrap ? "systrap" : "ptrace")}", null),
                ExecOutcome.Exited e => new SandboxProbe(false, $"the probe's command in a box ended with {e.ExitCode}", Remedy),
                var other => new SandboxProbe(false, $"the probe's command in a box: {other}", Remedy),
            };
        }
        finally
        {
            await sandbox.DestroyAsync();
        }
    }

    /// <inheritdoc/>
    public async Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        if (spec.Limits is { Pids: < LeastPids } or { MemoryBytes: < LeastMemory } or { DiskBytes: < LeastDisk or > LargestDisk } or { Cpu: < 0.01 or > 1024 })
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.ManifestInvalid,
                $"a box needs at least {LeastPids} pids, {LeastMemory} bytes of memory, {LeastDisk} bytes of disk and 0.01 cpu"));
        if (await PrepareAsync(cancellationToken) is { } missing)
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{missing}. {Remedy}"));
        await _starts.WaitAsync(cancellationToken);
        try
        {
            return await StartAsync(spec, cancellationToken);
        }
        finally
        {
            _starts.Release();
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken) =>
        Task.FromResult(_layout is null ? [] : NewReaper(_layout).List());

    /// <inheritdoc/>
    public async Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken) =>
        _layout is null ? [] : await NewReaper(_layout).ReapAsync(residue);

    /// <summary>Ends all boxes.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_live.Values.OfType<GVisorSandbox>().Select(s => s.DestroyAsync()));
        if (_layout is not null)
            foreach (var parent in _layout.Parents)
                BoxCgroup.TryRemove(parent);
        _starts.Dispose();
        _preparing.Dispose();
    }

    private Reaper NewReaper(CgroupLayout layout) => new(layout, _boxes, _time, _live.ContainsKey);

    /// <summary>Finds the tools and builds the tree that boxes share, once; or answers, in words, what is missing.</summary>
    private async Task<string?> PrepareAsync(CancellationToken cancellationToken)
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
            var (tools, lacking) = await Tools.FindAsync(_options, _time, cancellationToken);
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

    private async Task<SandboxCreateOutcome> StartAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        var folder = new BoxFolder(_boxes, RandomNumberGenerator.GetHexString(2 * IdBytes, lowercase: true));
        var cgroup = new BoxCgroup(_layout!, folder.Id, _time);
        GuestLink? link = null;
        BoxProcess? process = null;
        GVisorSandbox? sandbox = null;
        Failure failure;
        _live[folder.Id] = null;
        try
        {
            // 1. Intent.
            folder.Create();
            new BoxIntent(folder.Id, spec.Run.ToString(), spec.Epoch, Environment.ProcessId,
                HostProcesses.StartTime(Environment.ProcessId) ?? 0, cgroup.Directories, _time.GetUtcNow()).Write(folder.Intent);

            // 2. Disk, while 3. the rest is made.
            var disk = MakeDiskAsync(folder.Image, spec.Limits.DiskBytes, cancellationToken);
            cgroup.Create(new BoxLimits(spec.Limits.MemoryBytes, spec.Limits.Cpu, spec.Limits.Pids));
            link = GuestLink.Listen(folder.Sockets, _time);
            await File.WriteAllBytesAsync(folder.Configuration, OciBundle.Write(_tree, folder.Sockets, folder.Workspace, spec.Limits.MemoryBytes), cancellationToken);
            await disk;

            // 4. Launcher, 5. hello.
            process = BoxProcess.Start(_tools!.Guest, LaunchArguments(folder, cgroup));
            using var limit = new CancellationTokenSource(_options.StartTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
            var connecting = link.ConnectAsync(either.Token);
            if (await Task.WhenAny(connecting, process.Exited) == process.Exited)
            {
                await limit.CancelAsync();
                failure = new Failure(ErrorCodes.SandboxStartFailed, $"runsc ended with {process.ExitCode}: {await process.LastWordsAsync(_time)}", Retryable: true);
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
                var workspace = new Workspace(_blobs, _time, spec.Limits.DiskBytes);
                _live[folder.Id] = sandbox = new GVisorSandbox(folder, cgroup, process, link, workspaceFolder, workspace, _time, _logger, Forget);
                if (spec.Workspace is null || await workspace.RestoreAsync(workspaceFolder, spec.Workspace, cancellationToken) is not { } unrestored)
                    return new SandboxCreateOutcome.Started(sandbox);
                failure = unrestored;
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
            failure = new Failure(ErrorCodes.SandboxStartFailed, $"the box did not answer within {_options.StartTimeout}: {process?.Errors}", Retryable: true);
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
                await process.End(EndLimit, _time);
            link?.Dispose();
            await cgroup.RemoveAsync(RemoveLimit);
            process?.Dispose();
            await folder.RemoveAsync(RemoveLimit, _time);
            _live.TryRemove(folder.Id, out _);
        }
    }

    private void Forget(GVisorSandbox sandbox) => _live.TryRemove(sandbox.Id, out _);

    private async Task MakeDiskAsync(string image, long bytes, CancellationToken cancellationToken)
    {
        using (var file = File.OpenHandle(image, FileMode.CreateNew, FileAccess.Write))
            RandomAccess.SetLength(file, bytes);
        // No journal: after a crash the image is never read again. No reserved blocks: root does not write there.
        var made = await OutsideProgram.RunAsync(_tools!.MakeFileSystem,
            ["-q", "-F", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", image], MakeDiskLimit, _time, cancellationToken);
        if (made.ExitCode != 0)
            throw new CaissonException(ErrorCodes.SandboxStartFailed, $"the workspace's disk was not made: {made.Output.Trim()}", isTransient: true);
    }

    private List<string> LaunchArguments(BoxFolder folder, BoxCgroup cgroup)
    {
        var (file, _, thaw) = cgroup.Freezer;
        var arguments = new List<string>
        {
            "launch", "--freeze", file, "--thaw", thaw, "--image", folder.Image, "--mount", folder.Mount, "--usr", Path.Combine(_tree, "usr"),
        };
        foreach (var procs in cgroup.ProcsFiles)
            arguments.AddRange(["--cgroup", procs]);
        arguments.Add("--");
        arguments.AddRange(_tools!.RunCommand(folder.RunscState, folder.Path, folder.Id, _options.DirectFiles));
        return arguments;
    }
}
