using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Loops;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Turns;

namespace Caisson.Core.Processes;

/// <summary>
/// One ownership's way with a process agent: a program that nobody changed, in a box, whose calls come through the
/// gateway.
/// <para>
/// Problem: the program has no memory that survives it, so whenever it or this server died it begins again, and must
/// neither pay nor do twice what is recorded. States: not started → running → ended | to be started again. Each start
/// gets a fresh box with the workspace that the run began with, and finds every recorded call answered; what it asks
/// anew is executed and recorded before it is answered. Invariants: at most one program of a run is alive; its exit is
/// recorded once, when nothing of it is under way any more; a call under way when the program dies goes on and is
/// recorded, so the next start is answered by it. When this process dies, box and program die with it, and the next
/// owner starts again.
/// </para>
/// </summary>
internal sealed class ProcessTurn : IProcessRun
{
    private const int MaxOutputBytes = 128 << 10;

    /// <summary>The deadline of the run ends it earlier; timers hold no more.</summary>
    private static readonly TimeSpan Forever = TimeSpan.FromDays(24);

    private readonly RunSession _session;
    private readonly RunServices _services;
    private readonly RunBox _box;
    private readonly StepRunner _steps;
    private readonly ProcessRecords _records = new();
    private readonly ProcessLoops _loops;
    private readonly ProcessReplays _replays;
    private readonly ProcessSettings _process;
    private readonly StepCall _call;
    private readonly Wake _wake;
    private readonly ProcessTools _beside;
    private RunHalt? _halt;

    internal ProcessTurn(RunSession session, RunServices services, RunBox box, StepRunner steps)
    {
        (_session, _services, _box, _steps) = (session, services, box, steps);
        _wake = new Wake(services.Tasks);
        _loops = new ProcessLoops(session);
        _replays = new ProcessReplays(session);
        _process = session.Manifest.Process!;
        _beside = new ProcessTools(session, services, steps, _records, box, Halt);
        var identity = StepHash.Of(["process", .. _process.Command, session.History.Created!.Input]);
        _call = new StepCall(new StepKey(identity), new StepSubject(StepKind.Named, "process", identity, null, Shown(_process.Command)), "");
    }

    public RunId Run => _session.Run;

    public AgentManifest Manifest => _session.Manifest;

    public string Input => _session.History.Created!.Input;

    public bool MoneyIsCapped => _session.MoneyIsCapped;

    public CancellationToken Owned => _session.Owned;

    public bool IsHalting => Volatile.Read(ref _halt) is not null || _session.Stop is not null;

    public IReadOnlyList<StepRecord> Recorded => _records.Calls;

    public IProcessTools Tools => _beside;

    public IStepLog NewCall(string identity) => new StepLog(_session, _records.Next(identity), "", null);

    public void Halt(ModelOutcome why)
    {
        RunHalt halt = why switch
        {
            ModelOutcome.LimitReached reached => new RunHalt.AtLimit(reached.Denial),
            ModelOutcome.Exhausted exhausted => new RunHalt.Exhausted(exhausted.Failure),
            ModelOutcome.Failed failed => new RunHalt.Failed(failed.Failure),
            ModelOutcome.Drifted drifted => new RunHalt.Drifted(drifted.Report),
            _ => throw new ArgumentOutOfRangeException(nameof(why), why, "no reason to halt"),
        };
        Halt(halt);
    }

    private void Halt(RunHalt halt)
    {
        Interlocked.CompareExchange(ref _halt, halt, null);
        _wake.Set();
    }

    public void Replayed(long seq, string level, bool isExact) => _replays.Add(seq, level, isExact);

    public Task GoLiveAsync() => _replays.WriteAsync();

    public async Task DivergeAsync(DriftReport report)
    {
        if (await _replays.DivergeAsync(report, _process.OnDivergence) is { } halt)
            Halt(halt);
    }

    public async Task<string?> WatchAsync(ConversationSeen seen, bool recorded)
    {
        var verdict = _loops.Observe(seen, recorded, _services.Clock.GetUtcNow());
        if (verdict.Level == LoopLevel.Act && Manifest.LoopGuard.OnLoop != LoopPolicy.Warn)
            Halt(new RunHalt.Looping(verdict));
        else if (verdict.Level != LoopLevel.None)
            await _session.JournalAsync([ProcessLoops.Suspected(verdict)], null);
        return verdict.Note();
    }

    internal async Task<TurnEnd> RunAsync()
    {
        while (_session.History.Arrivals.TryDequeue(out var arrival))
            _records.Add(arrival);
        _session.Attach(_records.Add, _wake.Set);
        try
        {
            if (_records.Find(_call.Key) is { } ended)
                return End(ended);
            while (_session is { Admission: not null, Stop: null })
            {
                _session.HoldBack();
                await _wake.Next;
                _wake.Take();
            }

            return IsHalting ? new TurnEnd.Halted(new RunHalt.Requested()) : await DriveAsync();
        }
        finally
        {
            _session.Detach();
        }
    }

    /// <summary>Lets the program run, as often as it takes, and ends it where the run has to halt.</summary>
    private async Task<TurnEnd> DriveAsync()
    {
        await using var calls = (_services.Processes ?? throw new CaissonException(ErrorCodes.SandboxUnavailable, "this server runs no process agents: start one that does, then resume the run")).Begin(this);
        var execution = _services.Tasks.Run(() => _steps.ExecuteProcessAsync(_call, Manifest.Retry, attempt => StartAsync(calls, attempt)));
        while (!execution.IsCompleted)
        {
            await Task.WhenAny(execution, _wake.Next);
            _wake.Take();
            if (!execution.IsCompleted && IsHalting)
                await _box.CloseOwnAsync();
            await _beside.ShowAsync();
        }

        await SettledAsync(calls);

        // A halt that comes after the program's own end leaves its box: no later start may find it, with the doors of this one.
        await _box.CloseOwnAsync();
        await _box.CloseBesideAsync();
        try
        {
            await execution;
        }
        catch (RunHaltException halted)
        {
            return new TurnEnd.Halted(_halt ?? halted.Halt);
        }
        catch (OperationCanceledException) when (!Owned.IsCancellationRequested)
        {
            return new TurnEnd.Halted(_halt ?? new RunHalt.Requested());
        }

        return _halt is { } halt ? new TurnEnd.Halted(halt) : End(_records.Find(_call.Key) ?? throw new InvalidOperationException("a program that ended has a record"));
    }

    private async Task SettledAsync(IProcessCalls calls)
    {
        await calls.SettledAsync();
        await _beside.SettledAsync();
    }

    private static TurnEnd End(StepRecord record) => record switch
    {
        { Failure: { } failure } => new TurnEnd.Halted(new RunHalt.Failed(failure)),
        _ when ProcessResult.Read(record.Result.Span) is { } result => new TurnEnd.Completed(result.Output.TrimEnd('\n')),
        _ => throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the result of process step {record.Key} is not readable"),
    };

    /// <summary>One start of the program, in a box of its own.</summary>
    private async Task<StepAttempt> StartAsync(IProcessCalls calls, StepContext attempt)
    {
        _replays.Restart();
        await using var steps = new ProgramSteps(_session, _services, _steps, _records, _call.Key, Halt);
        var doors = calls.Open(steps);
        switch (await _box.OpenFreshAsync(doors, _session.History.Created!.Workspace, attempt.Cancellation))
        {
            case BoxOutcome.Failed failed:
                return new StepAttempt.Failed(failed.Failure);
            case BoxOutcome.Ready ready:
                var outcome = await RunAsync(ready.Box, attempt);
                await steps.DisposeAsync();
                await SettledAsync(calls);
                await _replays.WriteAsync();
                return await CameToAsync(outcome, ready.Box, attempt);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private async Task<ExecOutcome> RunAsync(ISandbox box, StepContext attempt)
    {
        await using var work = _box.Work(box);
        if (IsHalting)
            throw new OperationCanceledException("the run halts before its program began");
        var environment = StepEnvironment.Of(Run.ToString(), attempt);
        foreach (var (name, value) in _process.Environment)
            environment[name] = value;
        var input = System.Text.Encoding.UTF8.GetBytes(Input);
        // What it sends beside its calls is this step's, and stands in the journal.
        _session.Egress.Enter(_call, attempt.Attempt);
        try
        {
            return await box.ExecAsync(new ExecRequest(_process.Command, null, environment, input, Forever, MaxOutputBytes), attempt.Cancellation);
        }
        finally
        {
            await _session.Egress.LeaveAsync();
        }
    }

    private async Task<StepAttempt> CameToAsync(ExecOutcome outcome, ISandbox box, StepContext attempt)
    {
        if (IsHalting)
            throw new OperationCanceledException("the run halted, and its program with it");
        var result = outcome switch
        {
            ExecOutcome.Exited { ExitCode: > 128 } killed => Again($"the program was ended by signal {killed.ExitCode - 128}: {ProcessResult.Of(killed).LastLine()}"),
            ExecOutcome.Exited exited => await EndedAsync(ProcessResult.Of(exited), box, attempt),
            ExecOutcome.NotStarted not => new StepAttempt.Done(default, not.Failure),
            ExecOutcome.Lost lost => new StepAttempt.Failed(lost.Failure with { Retryable = true }),
            _ => Again("the program ran for longer than a box may"),
        };
        await _box.DiscardAsync(box);
        return result;
    }

    private static StepAttempt.Failed Again(string problem) => new(new Failure(ErrorCodes.ProcessFailed, problem, Retryable: true));

    private static async Task<StepAttempt> EndedAsync(ProcessResult result, ISandbox box, StepContext attempt)
    {
        var failure = result.ExitCode == 0 ? null : new Failure(ErrorCodes.ProcessFailed, $"the program ended with exit code {result.ExitCode}: {result.LastLine()}");
        return await box.SaveWorkspaceAsync(attempt.Cancellation) switch
        {
            WorkspaceSaveOutcome.Saved saved => new StepAttempt.Done(result.Write(), failure, saved.Root.Hash),
            WorkspaceSaveOutcome.Failed failed => new StepAttempt.Failed(failed.Failure with { Retryable = true }),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    private static string Shown(IReadOnlyList<string> command)
    {
        var text = string.Join(' ', command);
        return text.Length <= 300 ? text : text[..300] + "…";
    }
}
