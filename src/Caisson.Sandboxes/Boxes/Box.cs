using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Protocol;
using Caisson.Sandboxes.Reaping;
using Caisson.Sandboxes.Workspaces;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// One live box.
/// <para>
/// States: running and frozen alternate; lost is final and has one failure; destroyed is final. Only
/// <see cref="_turn"/>'s holder freezes, thaws, saves or restores.
/// </para>
/// <para>
/// Why a box was lost is read from its cgroup's counters: the guest may say what it likes, and at the memory limit it
/// says nothing.
/// </para>
/// </summary>
#pragma warning disable CA1001 // A semaphore without a wait handle holds nothing; the rest ends in DestroyAsync.
internal sealed partial class Box : ISandbox
#pragma warning restore CA1001
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RemoveLimit = TimeSpan.FromSeconds(15);

    private readonly BoxParts _parts;
    private readonly BoxFolder _folder;
    private readonly BoxCgroup _cgroup;
    private readonly BoxProcess _process;
    private readonly GuestLink _link;
    private readonly LaunchPlan _plan;
    private readonly SafeFileHandle _workspaceFolder;
    private readonly Workspace _workspace;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Action<Box> _gone;
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Lock _destroyLock = new();
    private readonly Task<Failure> _lost;
    private Task? _destroyed;
    private bool _frozen;
    private int _terminals;
    private int _fileCalls;

    /// <param name="image">Digest of what it sees as its root.</param>
    public Box(BoxParts parts, string kind, string image, SandboxSpec spec, TimeProvider time, ILogger logger, Action<Box> gone)
    {
        _parts = parts;
        (_folder, _cgroup, _process, _link, _plan, _workspaceFolder, _workspace) = (parts.Folder, parts.Cgroup, parts.Process, parts.Link, parts.Plan, parts.WorkspaceFolder, parts.Workspace);
        Kind = kind;
        Image = image;
        Spec = spec;
        Made = time.GetUtcNow();
        _time = time;
        _logger = logger;
        _gone = gone;
        _lost = WatchAsync();
    }

    public string Id => _folder.Id;

    public string Kind { get; }

    public string Image { get; }

    public DateTimeOffset Made { get; }

    /// <summary>Whose it is and what that run may use; of a box in the pool, nobody's.</summary>
    public SandboxSpec Spec { get; private set; }

    public bool IsFrozen => Volatile.Read(ref _frozen);

    public SandboxInfo Describe(bool isReady)
    {
        var counters = _cgroup.Counters();
        return new SandboxInfo(Id, Kind, isReady || Spec.Origin is not null ? null : Spec.Run, Spec.Epoch, isReady ? SandboxState.Ready : IsFrozen ? SandboxState.Frozen : SandboxState.Running,
            Image, Made, new SandboxStats(counters.MemoryBytes, counters.Cpu, counters.Processes) { OutputBytes = _link.OutputBytes })
        { Origin = Spec.Origin };
    }

    public bool IsLost => _link.Lost.IsCompleted;

    /// <summary>
    /// Gives the box to a run: limits, files, workspace, ports, environment. Only for one in which nothing has run yet:
    /// boxes are never used again.
    /// </summary>
    public async Task<Failure?> EquipAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (!ReferenceEquals(spec, Spec))
            {
                BoxIntent.Of(Id, Kind, spec, _cgroup.Directories, _time.GetUtcNow()).Write(_folder.Intent);
                _cgroup.Limit(BoxLimits.Of(spec.Limits, _plan.ExtraMemoryBytes));
                Spec = spec;
            }

            _folder.WriteFiles(spec.Files);
            if (spec.Workspace is not null && await _workspace.RestoreAsync(_workspaceFolder, spec.Workspace, cancellationToken) is { } unrestored)
                return unrestored;
            if (spec.Forwards.Count == 0)
                return null;
            ThawNeedsTurn();
            return await _link.ForwardAsync(spec.Forwards, cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    public async Task<ExecOutcome> ExecAsync(ExecRequest request, CancellationToken cancellationToken)
    {
        var outcome = await InCommandAsync(() => GuestExec.RunAsync(_link, OpenAsync, request with { Environment = Complete(request.Environment) }, _time, cancellationToken));
        // As EndIfOutOfMemory, without waiting for its look: nothing of this box may pass for a result.
        if (outcome is ExecOutcome.Lost || LimitFailure() is { Code: ErrorCodes.SandboxOom })
            return new ExecOutcome.Lost(await LoseAsync());
        return outcome;
    }

    public async Task<TerminalOutcome> OpenTerminalAsync(TerminalRequest request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _terminals);
        var outcome = await GuestTerminal.OpenAsync(
            _link, OpenAsync, request with { Environment = Complete(request.Environment) }, () => Interlocked.Decrement(ref _terminals), cancellationToken);
        if (outcome is not TerminalOutcome.Opened)
            Interlocked.Decrement(ref _terminals);
        return outcome is TerminalOutcome.Lost ? new TerminalOutcome.Lost(await LoseAsync()) : outcome;
    }

    public async Task<FileReadOutcome> ReadFileAsync(string path, int maxBytes, CancellationToken cancellationToken)
    {
        var outcome = await InFileCallAsync(() => GuestFiles.ReadAsync(_link, OpenAsync, path, maxBytes, _time, cancellationToken));
        return outcome is FileReadOutcome.Lost ? new FileReadOutcome.Lost(await LoseAsync()) : outcome;
    }

    public async Task<FileWriteOutcome> WriteFileAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        var outcome = await InFileCallAsync(() => GuestFiles.WriteAsync(_link, OpenAsync, path, content, _time, cancellationToken));
        return outcome is FileWriteOutcome.Lost ? new FileWriteOutcome.Lost(await LoseAsync()) : outcome;
    }

    public async Task<FileListOutcome> ListFilesAsync(string path, int maxEntries, CancellationToken cancellationToken)
    {
        var outcome = await InFileCallAsync(() => GuestFiles.ListAsync(_link, OpenAsync, path, maxEntries, _time, cancellationToken));
        return outcome is FileListOutcome.Lost ? new FileListOutcome.Lost(await LoseAsync()) : outcome;
    }

    public async Task FreezeAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (!StaysThawed)
                await FreezeNeedsTurnAsync(cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    public async Task ThawAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            ThawNeedsTurn();
        }
        finally
        {
            _turn.Release();
        }
    }

    public async Task<WorkspaceSaveOutcome> SaveWorkspaceAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            await FreezeNeedsTurnAsync(cancellationToken);
            return _link.Lost.IsCompleted
                ? new WorkspaceSaveOutcome.Failed(await _lost)
                : await _workspace.SaveAsync(_workspaceFolder, cancellationToken);
        }
        finally
        {
            if (StaysThawed)
                ThawNeedsTurn();
            _turn.Release();
        }
    }

    public async Task<Failure?> RestoreWorkspaceAsync(WorkspaceRoot? root, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            ThawNeedsTurn();
            // First what could still write, then the files.
            return await _link.KillAllAsync(cancellationToken) is null
                ? await _workspace.RestoreAsync(_workspaceFolder, root, cancellationToken)
                : await LoseAsync();
        }
        finally
        {
            _turn.Release();
        }
    }

    public Task<SandboxStats> StatsAsync(CancellationToken cancellationToken)
    {
        var counters = _cgroup.Counters();
        return Task.FromResult(new SandboxStats(counters.MemoryBytes, counters.Cpu, counters.Processes) { KernelCpu = _cgroup.KernelCpu(_parts.Kernel), IoBytes = _cgroup.IoBytes(), OutputBytes = _link.OutputBytes });
    }

    /// <summary>
    /// The kernel has killed one process of the box, for memory, and left the rest in an unknown state: then all of it ends,
    /// with what is under way in it. A frozen box gets no further and is looked at when it is thawed.
    /// </summary>
    public void EndIfOutOfMemory()
    {
        if (!IsFrozen && !IsLost && _cgroup.Counters().OomKills > 0)
            _link.Break(BoxVerdicts.OutOfMemory);
    }

    public Task DestroyAsync()
    {
        lock (_destroyLock)
            return _destroyed ??= Task.Run(DestroyOnceAsync);
    }

    private async Task DestroyOnceAsync()
    {
        _link.Break(new Failure(ErrorCodes.SandboxLost, "the box was destroyed", Retryable: true));
        await _lost;
        var left = await _cgroup.RemoveAsync(RemoveLimit);
        // A save or restore that is under way reads the workspace's folder until its end.
        await _turn.WaitAsync();
        if (_plan.Carrier is not null)
            await _plan.Carrier.DisposeAsync();
        _link.Dispose();
        // The last hold on the workspace's mount: with it the mount goes, and with the mount the loop device.
        _workspaceFolder.Dispose();
        _turn.Release();
        _process.Dispose();
        left = [.. left, .. await _folder.RemoveAsync(RemoveLimit, _time)];
        _gone(this);
        if (left.Count > 0)
            throw new CaissonException(ErrorCodes.Internal, $"box {Id} left behind: {string.Join(", ", left)}");
    }

    /// <summary>Ends when the box is lost, for whatever reason, and ends the box then.</summary>
    private async Task<Failure> WatchAsync()
    {
        if (await Task.WhenAny(_link.Lost, _process.Exited) == _process.Exited)
            _link.Break(new Failure(ErrorCodes.SandboxLost, "the box ended", Retryable: true));
        var reported = await _link.Lost;
        // End it before its counters are read: they are complete only then.
        await _process.End(EndLimit, _time);
        var failure = LimitFailure() ?? Explain(reported);
        if (_destroyed is null && !_ended)
            _logger.LogWarning("Box {Box} is lost: {Code} {Message}", Id, failure.Code, failure.Message);
        return failure;
    }

    private Failure Explain(Failure reported) =>
        reported.Code != ErrorCodes.SandboxLost || _destroyed is not null || _process.Errors.Length == 0
            ? reported
            : reported with { Message = $"{reported.Message}: {_process.Errors.Split('\n')[^1]}" };

    private Failure? LimitFailure() => _cgroup.Counters() switch
    {
        { OomKills: > 0 } => BoxVerdicts.OutOfMemory,
        { PidsRefused: > 0 } when _process.Exited.IsCompleted => BoxVerdicts.OutOfProcesses,
        _ => _process.Exited.IsCompleted ? _plan.Verdict?.Invoke(_process.Errors) : null,
    };

    private async Task<T> InFileCallAsync<T>(Func<Task<T>> call)
    {
        Interlocked.Increment(ref _fileCalls);
        try
        {
            return await call();
        }
        finally
        {
            Interlocked.Decrement(ref _fileCalls);
        }
    }

    private Dictionary<string, string> Complete(IReadOnlyDictionary<string, string> own)
    {
        var all = new Dictionary<string, string>(Spec.Environment);
        foreach (var (name, value) in own)
            all[name] = value;
        return all;
    }

    /// <summary>Under the turn, so that no freeze comes between the thaw and the worker's dial.</summary>
    private async Task<(FrameStream? Stream, Failure? Failure)> OpenAsync(StreamKind kind, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            ThawNeedsTurn();
            return await _link.OpenAsync(kind, cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task<Failure> LoseAsync()
    {
        _link.Break(new Failure(ErrorCodes.SandboxLost, "the box ended", Retryable: true));
        return await _lost;
    }

    private async Task FreezeNeedsTurnAsync(CancellationToken cancellationToken)
    {
        if (_frozen || _link.Lost.IsCompleted)
            return;
        _frozen = true;
        try
        {
            await _cgroup.FreezeAsync(cancellationToken);
        }
        catch (IOException) when (_link.Lost.IsCompleted)
        {
            // Destroyed meanwhile, cgroup and all.
        }
    }

    private void ThawNeedsTurn()
    {
        if (!_frozen || _link.Lost.IsCompleted)
            return;
        try
        {
            _cgroup.Thaw();
            _frozen = false;
        }
        catch (IOException) when (_link.Lost.IsCompleted)
        {
            // Destroyed meanwhile, cgroup and all.
        }
    }
}

/// <summary>What a box is made of.</summary>
/// <param name="WorkspaceFolder">Holds the workspace's mount.</param>
internal sealed record BoxParts(
    BoxFolder Folder, BoxCgroup Cgroup, BoxProcess Process, GuestLink Link, LaunchPlan Plan, SafeFileHandle WorkspaceFolder, Workspace Workspace)
{
    /// <summary>How it is kept and in which folder, where it can be.</summary>
    public (IBoxCheckpoints Kind, string Folder)? Checkpoints { get; init; }

    /// <summary>How its own kernel's command line begins, where it has one.</summary>
    public string? Kernel { get; init; }

    /// <summary>That it brought with it from a checkpoint.</summary>
    public IReadOnlyList<StreamTicket> Commands { get; init; } = [];
}
