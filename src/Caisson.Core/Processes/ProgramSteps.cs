using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Turns;

namespace Caisson.Core.Processes;

/// <summary>
/// The durable steps, waits and children of one start of a program.
/// <para>
/// Problem: the code of a step stands in the program, and the program may die in the middle of it, alone or with the
/// server. So each step is executed by the engine's own runner, which admits, journals, retries and decides as for any
/// step; only its body is a <see cref="StepLease"/> that the program works off. Invariants: what is recorded is never
/// handed out again; a step is handed out once at a time; when the start is over, what it left open is decided before
/// the program's own end is recorded: tried again by the next start where that is safe, of unknown outcome where not.
/// When this process dies, the next owner finds the beginnings of steps that must not be repeated in the journal.
/// </para>
/// </summary>
internal sealed class ProgramSteps(RunSession session, RunServices services, StepRunner runner, ProcessRecords records, StepKey program, Action<RunHalt> halt) : IProcessSteps, IAsyncDisposable
{
    private const int MostOpen = 1_000;
    private const int MostAsked = 100_000;

    private readonly Lock _lock = new();
    private readonly AskedPlaces _asked = new(MostAsked);
    private readonly ProgramWaits _waits = new(session, services.Clock, records, program);
    private readonly Dictionary<string, (StepLease Lease, Task Execution)> _open = new(StringComparer.Ordinal);
    private readonly Dictionary<string, StepKey> _told = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _over = CancellationTokenSource.CreateLinkedTokenSource(session.Owned);

    public Task StepAsync(StepAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        var place = ask.Key is { } own ? _asked.TakeOwn("key", own) : _asked.Take("named", ask.InputHash.Length == 0 ? ask.Name : ask.Name + "\0" + ask.InputHash);
        return AnswerAsync(place, ask.Key, deliver, over =>
        {
            var subject = new StepSubject(StepKind.Named, ask.Name, ask.InputHash, null, ask.Shown);
            return records.Find(place!.Key) is { } record ? Task.FromResult(Match(record, subject)) : Begin(new StepCall(place.Key, subject, ""), ask).WaitAsync(over);
        }, gone);
    }

    public async Task CompleteAsync(string token, StepEnd end, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_over.Token, gone);
        await deliver(await (End(token, end) ?? Task.FromResult<ProgramAnswer>(Stale())).WaitAsync(over.Token));
    }

    public ProgramAnswer Heartbeat(string token, string? note)
    {
        if (LeaseOf(token) is not { } lease || !lease.IsUnderWay(token))
            return Stale();
        session.Heartbeat(lease.Call.Key, note);
        return new ProgramAnswer.Done();
    }

    public Task SleepAsync(string name, TimeSpan time, DateTimeOffset? until, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        var place = _asked.Take("timer", name);
        return AnswerAsync(place, null, deliver, async over =>
        {
            var key = place!.Key;
            if (records.IsFired(key))
                return new ProgramAnswer.Done();
            if (await _waits.SetAsync(key, name.Length == 0 ? "sleep" : "sleep " + name, until ?? services.Clock.GetUtcNow() + time) is not { } due)
                return ProgramWaits.TooMany;
            if (await _waits.UntilAsync(new Waiting(WaitReason.Timer, due, $"sleep until {due:O}"), () => records.IsFired(key), over) is not { } fired)
                return ProgramWaits.TooMany;
            if (!fired)
                await _waits.FireAsync(key, () => records.IsFired(key));
            return new ProgramAnswer.Done();
        }, gone);
    }

    public Task SignalAsync(string name, TimeSpan? timeout, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        var place = _asked.Take("signal", name);
        return AnswerAsync(place, null, deliver, async over =>
        {
            var key = place!.Key;
            IReadOnlyList<StepKey> waits = [.. Enumerable.Range(0, place.Nth!.Value + 1).Select(nth => AskedPlaces.KeyOf("signal", name, nth))];
            bool Answered() => records.IsFired(key) || records.SignalOf(name, waits) is not null;
            if (!Answered())
            {
                var due = timeout is null ? null : await _waits.SetAsync(key, "signal " + name, services.Clock.GetUtcNow() + timeout.Value);
                if (timeout is not null && due is null)
                    return ProgramWaits.TooMany;
                if (await _waits.UntilAsync(new Waiting(WaitReason.Signal, due, $"signal '{name}'"), Answered, over) is not { } came)
                    return ProgramWaits.TooMany;
                if (!came)
                    await _waits.FireAsync(key, Answered);
            }

            return new ProgramAnswer.Signalled(records.SignalOf(name, waits));
        }, gone);
    }

    public Task SpawnAsync(ChildAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        var place = ask.Key is { } own ? _asked.TakeOwn("child-key", own) : _asked.Take("child", StepHash.Of(ask.Agent, ask.Manifest ?? "", ask.Input));
        return AnswerAsync(place, ask.Key, deliver, async over =>
        {
            var key = place!.Key;

            // Not cancelled when the client goes: what is written then has its place, and is found when it asks again.
            if (records.ChildOf(key) is null && records.Find(key) is null)
                await HaltingAsync(() => services.Spawner.SpawnAsync(session, key, "", new ChildSpec(ask.Agent, ask.Input) { Manifest = ask.Manifest, Detach = ask.Detach, ByProgram = true }));
            if (records.ChildOf(key) is { } child)
                return ask.Wait ? await EndOfAsync(child, over) : new ProgramAnswer.Spawned(child);
            return records.Find(key) is { Failure: { } refusal } ? new ProgramAnswer.Failed(refusal) : throw new OperationCanceledException("the run halts");
        }, gone);
    }

    public async Task ChildAsync(string child, Func<ProgramAnswer, Task> deliver, CancellationToken gone)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_over.Token, gone);
        await deliver(records.OutcomeOf(child).IsChild
            ? await EndOfAsync(child, over.Token)
            : new ProgramAnswer.Refused(new Failure(ErrorCodes.RunNotFound, $"this run has no child '{child}': give the id that spawning it answered")));
    }

    /// <summary>The program is gone: what it left open is decided.</summary>
    public async ValueTask DisposeAsync()
    {
        _over.End();
        List<(StepLease Lease, Task Execution)> left;
        lock (_lock)
            left = [.. _open.Values];
        foreach (var (lease, _) in left)
            lease.Leave();
        await Task.WhenAll(left.Select(open => open.Execution));
    }

    private async Task AnswerAsync(AskedPlace? place, string? key, Func<ProgramAnswer, Task> deliver, Func<CancellationToken, Task<ProgramAnswer>> answer, CancellationToken gone)
    {
        if (place is null)
        {
            await deliver(new ProgramAnswer.Refused(new Failure(ErrorCodes.RequestInvalid, key is null
                ? $"a program may ask for {MostAsked} different things: begin fewer, larger steps"
                : $"the key '{key}' was used before in this start of the program: give each step a key of its own, or none")));
            return;
        }

        var answered = false;
        try
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(_over.Token, gone);
            var given = await answer(over.Token);
            await deliver(given);
            answered = given is not ProgramAnswer.Refused;
        }
        finally
        {
            if (!answered)
                _asked.GiveBack(place);
        }
    }

    private Task<ProgramAnswer> Begin(StepCall call, StepAsk ask)
    {
        lock (_lock)
        {
            _over.Token.ThrowIfCancellationRequested();
            if (_open.TryGetValue(call.Key.Hash, out var open))
                return open.Lease.Next;

            // It may have ended since the caller looked: it leaves the open ones after it is recorded.
            if (records.Find(call.Key) is { } record)
                return Task.FromResult(Match(record, call.Subject));
            if (_open.Count >= MostOpen)
                return Task.FromResult<ProgramAnswer>(new ProgramAnswer.Refused(new Failure(ErrorCodes.RequestInvalid, $"a program may have {MostOpen} steps open at a time: end some of them first")));
            var lease = new StepLease(call, () => $"{call.Key.Hash}.{services.Ids.NextRandom():N}");
            _open[call.Key.Hash] = (lease, services.Tasks.Run(() => ExecuteAsync(lease, ask)));
            return lease.Next;
        }
    }

    private async Task ExecuteAsync(StepLease lease, StepAsk ask)
    {
        var key = lease.Call.Key;
        await HaltingAsync(() => runner.ExecuteAsync(lease.Call, new NamedStep<System.Text.Json.JsonElement>(ask.Name, lease.AttemptAsync, new() { Effect = ask.Effect, OnUnknown = ask.OnUnknown }), _over.Token), () => lease.IsLeft);
        session.Forget(key);
        lock (_lock)
        {
            _open.Remove(key.Hash);
            if (lease.Told is { } token)
                _told[token] = key;
        }

        if (records.Find(key) is { } record)
            lease.Over(AnswerOf(record));
    }

    /// <summary>Whoever waits for it when the run halts is not answered.</summary>
    /// <param name="isLeft">It ended because its program did, which is no reason to halt.</param>
    private async Task HaltingAsync(Func<Task> execute, Func<bool>? isLeft = null)
    {
        try
        {
            await execute();
        }
        catch (RunHaltException left) when (left.Halt is RunHalt.Exhausted && isLeft?.Invoke() == true)
        {
            // Safe to repeat: the next start may.
        }
        catch (RunHaltException halted)
        {
            halt(halted.Halt);
        }
        catch (OperationCanceledException)
        {
            // The start or the ownership is over.
        }
    }

    private Task<ProgramAnswer>? End(string token, StepEnd end)
    {
        if (LeaseOf(token) is { } lease)
            return lease.TryEnd(token, end) ? lease.Next : null;
        lock (_lock)
            return _told.TryGetValue(token, out var key) && records.Find(key) is { } record ? Task.FromResult(AnswerOf(record)) : null;
    }

    private StepLease? LeaseOf(string token)
    {
        lock (_lock)
            return _open.TryGetValue(token.Split('.')[0], out var open) ? open.Lease : null;
    }

    private async Task<ProgramAnswer> EndOfAsync(string child, CancellationToken over) =>
        await _waits.UntilAsync(new Waiting(WaitReason.Child, null, $"child {child}"), () => records.OutcomeOf(child).Outcome is not null, over) is null
            ? ProgramWaits.TooMany
            : new ProgramAnswer.ChildEnded(child, records.OutcomeOf(child).Outcome!);

    /// <summary>A step of the same key that is another one: the program took another way.</summary>
    private static ProgramAnswer Match(StepRecord record, StepSubject subject) => record.Subject.Name == subject.Name && record.Subject.ArgumentsHash == subject.ArgumentsHash
        ? AnswerOf(record)
        : new ProgramAnswer.Refused(new Failure(ErrorCodes.Drift, $"the program asks for {RunHistory.Describe(subject)} where entry {record.Seq} has {RunHistory.Describe(record.Subject)}: give the other step another key"));

    private static ProgramAnswer AnswerOf(StepRecord record) => record.Failure is { } failure ? new ProgramAnswer.Failed(failure) : new ProgramAnswer.Recorded(record.Result);

    private static ProgramAnswer.Refused Stale() =>
        new(new Failure(ErrorCodes.StepStale, "the token is of no attempt that is under way: it is another start's, or its end was told before; ask for the step again"));
}
