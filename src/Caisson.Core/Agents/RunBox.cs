using System.Collections.Concurrent;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Lifecycle;
using Caisson.Core.Sandboxes;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Agents;

internal abstract record BoxOutcome
{
    internal sealed record Ready(ISandbox Box) : BoxOutcome;

    internal sealed record Failed(Failure Failure) : BoxOutcome;
}

/// <summary>
/// The one box of one ownership: opened at the first step that needs it, with the workspace of the last completed
/// step, frozen when it has nothing to do, and thrown away whenever its state is not the journal's any more.
/// </summary>
internal sealed partial class RunBox(RunSession session, IReadOnlyList<ISandboxProvider> providers, IBoxEgress? egress, ILogger log) : IAsyncDisposable
{
    private readonly SemaphoreSlim _opening = new(1, 1);
    private ISandbox? _box;
    private readonly ConcurrentDictionary<ISandbox, IBoxDoors> _doors = new(ReferenceEqualityComparer.Instance);
    private int _atWork;
    private bool _stuck;
    private bool _replaced = session.History.HadBox;

    internal bool IsOpen => _box is not null;

    internal Task<BoxOutcome> OpenAsync(CancellationToken cancellationToken) => OpenAsync(null, cancellationToken);

    /// <summary>A box for one start of a program, whatever an earlier one left.</summary>
    /// <param name="ways">Beside those that the manifest asks for. Theirs is the box's life, also where there is none.</param>
    internal async Task<BoxOutcome> OpenFreshAsync(IBoxDoors ways, string? root, CancellationToken cancellationToken)
    {
        var outcome = await OpenAsync(new FreshBox(ways, root is null ? null : new WorkspaceRoot(root)), cancellationToken);
        if (outcome is not BoxOutcome.Ready { Box: var box } || !_doors.ContainsKey(box))
            await ways.DisposeAsync();
        return outcome;
    }

    private sealed record FreshBox(IBoxDoors Ways, WorkspaceRoot? Root);

    private async Task<BoxOutcome> OpenAsync(FreshBox? fresh, CancellationToken cancellationToken)
    {
        await _opening.WaitAsync(cancellationToken);
        try
        {
            if (_box is { } open)
                return new BoxOutcome.Ready(open);
            var wanted = session.Manifest.Sandbox;
            var (chosen, unavailable) = await ChooseAsync(cancellationToken);
            if (chosen is null)
                return new BoxOutcome.Failed(unavailable!);
            var root = fresh is not null ? fresh.Root : session.Summary.WorkspaceRoot is { } saved ? new WorkspaceRoot(saved) : null;
            var spec = new SandboxSpec(session.Run, session.Epoch, wanted, root) { Queued = session.AwaitBoxAsync };
            if (fresh is null && await ReviveAsync(chosen, spec, cancellationToken) is { } revived)
            {
                _box = revived;
                return root is null ? await LearnEmptyRootAsync(revived, cancellationToken) : new BoxOutcome.Ready(revived);
            }

            var doors = egress?.Open(session.Manifest, session.Egress, await session.Egress.UsedAsync(cancellationToken));
            if (fresh is not null)
                doors = doors is null ? fresh.Ways : new JoinedDoors(doors, fresh.Ways);
            if (doors is not null)
                spec = spec with { Forwards = doors.Forwards, Environment = doors.Environment, Files = doors.Files };
            switch (await CreateAsync(chosen, spec, doors, cancellationToken))
            {
                case SandboxCreateOutcome.Started started:
                    _box = started.Sandbox;
                    return root is null && fresh is null ? await LearnEmptyRootAsync(_box, cancellationToken) : new BoxOutcome.Ready(_box);
                case SandboxCreateOutcome.Refused refused:
                    return new BoxOutcome.Failed(refused.Failure with { Retryable = true });
                default:
                    throw new InvalidOperationException("unreachable");
            }
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>The first provider that is strong enough; or why there is none.</summary>
    private async Task<(ISandboxProvider? Provider, Failure? Failure)> ChooseAsync(CancellationToken cancellationToken)
    {
        if (NotGranted() is { } ungranted)
            return (null, ungranted with { Retryable = true });
        var wanted = session.Manifest.Sandbox.Isolation;
        foreach (var provider in providers)
        {
            if ((await provider.ProbeAsync(cancellationToken)).Offered && provider.Tier >= wanted)
                return (provider, null);
        }

        return (null, new Failure(ErrorCodes.SandboxUnavailable, $"no sandbox provider of tier {Words.Of(wanted)} or stronger on this host: run 'caisson doctor'", Retryable: true));
    }

    /// <summary>The doors go with their box, also where there is none.</summary>
    private async Task<SandboxCreateOutcome> CreateAsync(ISandboxProvider provider, SandboxSpec spec, IBoxDoors? doors, CancellationToken cancellationToken)
    {
        SandboxCreateOutcome? outcome = null;
        try
        {
            return outcome = await provider.CreateAsync(spec, cancellationToken);
        }
        finally
        {
            if (doors is not null && outcome is SandboxCreateOutcome.Started started)
                _doors[started.Sandbox] = doors;
            else if (doors is not null)
                await doors.DisposeAsync();
        }
    }

    /// <summary>The server may be another one than the run was made on, and grant less.</summary>
    private Failure? NotGranted() => !HasDoors ? null
        : egress is null ? new Failure(ErrorCodes.EgressNotGranted, "this server lets nothing out of boxes: start one that does, then resume the run")
        : egress.Problem(session.Manifest);

    private bool HasDoors => session.Manifest is not { Egress: null, Services: null } || session.Manifest.Mcp?.Any(s => s.Secret is not null) == true;

    /// <summary>
    /// The box that was kept when the run began to wait, if it still is what the journal says. It serves once. Where it
    /// cannot be had, the run gets a new box: what is lost is /tmp, and the model is told.
    /// </summary>
    private async Task<ISandbox?> ReviveAsync(ISandboxProvider provider, SandboxSpec spec, CancellationToken cancellationToken)
    {
        // A box with ways out trusts an authority that went with its first process.
        if (HasDoors || provider.FindCheckpoint(session.Run) is not { } kept)
            return null;
        var outcome = kept.Mark.Fits(Mark) ? await provider.RestoreAsync(kept, spec, cancellationToken) : null;
        provider.Discard(kept);
        if (outcome is not SandboxCreateOutcome.Started started)
        {
            log.LogInformation("run {Run}: its kept box is not used: {Reason}", session.Run, (outcome as SandboxCreateOutcome.Refused)?.Failure.Message ?? "the run went on without it");
            return null;
        }

        _replaced = false;
        return started.Sandbox;
    }

    private CheckpointMark Mark => new(session.Run, session.History.LastSeq, session.Epoch, session.Summary.ToolCalls, session.Summary.WorkspaceRoot);

    /// <summary>The run is about to wait without a box: keeps it on disk, where its provider can.</summary>
    internal async Task ParkAsync()
    {
        if (_box is not { } box || HasDoors || Volatile.Read(ref _atWork) > 0)
            return;
        switch (await box.CheckpointAsync(Mark, session.Owned))
        {
            case CheckpointOutcome.Refused refused:
                log.LogInformation("run {Run}: its box is not kept: {Reason}", session.Run, refused.Failure.Message);
                break;
            case CheckpointOutcome.Lost lost:
                log.LogWarning("run {Run}: its box was lost while it was to be kept: {Reason}", session.Run, lost.Failure.Message);
                await DiscardAsync(box);
                break;
            default:
                await DiscardAsync(box);
                break;
        }
    }

    /// <summary>Root of the workspace before any step: the first step that changes nothing must not look like a change.</summary>
    internal string? EmptyRoot { get; private set; }

    private async Task<BoxOutcome> LearnEmptyRootAsync(ISandbox box, CancellationToken cancellationToken)
    {
        switch (await box.SaveWorkspaceAsync(cancellationToken))
        {
            case WorkspaceSaveOutcome.Saved saved:
                EmptyRoot = saved.Root.Hash;
                return new BoxOutcome.Ready(box);
            case WorkspaceSaveOutcome.Failed failed:
                _box = null;
                await DestroyAsync(box);
                return new BoxOutcome.Failed(failed.Failure with { Retryable = true });
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>Whether the model must be told that processes and /tmp of earlier calls are gone; true once per replacement.</summary>
    internal bool TakeReplaced()
    {
        var replaced = _replaced;
        _replaced = false;
        return replaced;
    }

    /// <summary>Marks a call at work in the box; when the last one ends, nothing runs in it until the next.</summary>
    internal IAsyncDisposable Work(ISandbox box)
    {
        Interlocked.Increment(ref _atWork);
        return new Rest(this, box);
    }

    private async ValueTask RestAsync(ISandbox box)
    {
        if (Interlocked.Decrement(ref _atWork) == 0 && ReferenceEquals(_box, box) && !session.Owned.IsCancellationRequested)
            await box.FreezeAsync(session.Owned);
    }

    private sealed class Rest(RunBox boxes, ISandbox box) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => boxes.RestAsync(box);
    }

    /// <summary>Its files are not what the journal says: the next call gets a new box.</summary>
    /// <param name="lost">The box that the caller worked in: another call may have replaced it already.</param>
    internal async Task DiscardAsync(ISandbox lost)
    {
        await _opening.WaitAsync(CancellationToken.None);
        try
        {
            if (ReferenceEquals(_box, lost))
            {
                _box = null;
                _replaced = true;
            }
        }
        finally
        {
            _opening.Release();
        }

        await DestroyAsync(lost);
    }

    /// <summary>The run ends: nothing of it acts any more when this returns.</summary>
    /// <returns>Whether that is confirmed.</returns>
    internal async Task<bool> CloseAsync()
    {
        await CloseOwnAsync();
        await CloseBesideAsync();
        return !_stuck;
    }

    /// <summary>Ends the run's own box; those beside it go on with what they do.</summary>
    internal async Task CloseOwnAsync()
    {
        if (_box is { } box)
            await DiscardAsync(box);
    }

    public async ValueTask DisposeAsync()
    {
        if (_box is { } box)
            await DestroyAsync(box);
        _box = null;
        await CloseBesideAsync();
        if (session.State.IsFinal)
            foreach (var provider in providers)
                if (provider.FindCheckpoint(session.Run) is { } kept)
                    provider.Discard(kept);
        _opening.Dispose();
    }

    private async Task DestroyAsync(ISandbox box)
    {
        // The doors first: whatever the box still says goes nowhere.
        if (_doors.TryRemove(box, out var doors))
            await doors.DisposeAsync();
        try
        {
            await box.DestroyAsync();
        }
        catch (CaissonException problem)
        {
            _stuck = true;
            log.LogError("box {Box} of run {Run} is not confirmed gone, the reaper goes on: {Problem}", box.Id, session.Run, problem.Message);
        }
    }
}
