using System.Collections.Immutable;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>What each unit makes of a state. Pure; a refused unit answers the state it was given.</summary>
internal static class RunUnits
{
    internal static (MemoryState State, CreateOutcome Outcome) Create(MemoryState state, NewRun run)
    {
        if ((run.IdempotencyKey is { } key && state.Keys.TryGetValue(key, out var row)) || state.Rows.TryGetValue(run.Id, out row))
        {
            var known = state.Runs[row];
            return (state, known.RequestHash == run.RequestHash ? new CreateOutcome.Existing(known.Id) : new CreateOutcome.KeyMismatch(known.Id));
        }

        var parent = run.Parent is { } above ? state.Find(above) : null;
        var tenant = BudgetNodes.OfTenant(run.Tenant);
        var own = BudgetNodes.Of(run.Id);
        var at = MemoryState.Ms(run.At);
        var record = new RunRecord(run.Id, run.Agent, RunStatus.Ready, WaitReason.None, PauseCause.None, at, at, null, MemoryState.Ms(run.DueAt ?? run.At), null, 0, 0,
            run.Summary with { CurrentStep = null }, BudgetState.None, BudgetState.None)
        { Tenant = run.Tenant, Parent = run.Parent, Depth = run.Depth, Origin = run.Origin, MinEngine = run.MinEngine };
        var origin = run.Parent is null && run.Origin is { } forked ? state.Find(forked) : null;
        ImmutableArray<string> path = parent is not null ? parent.Path.Add(own) : origin is not null ? [tenant, origin.Path[1], own] : [tenant, own];
        var created = new MemoryRun(state.LastRow + 1, record, run.RequestHash, path, run.IdempotencyKey);
        foreach (var draft in run.More.Prepend(run.Created))
            created = created.Append(0, run.At, Guid.Empty, draft);

        var ledger = state.Ledger.Open(tenant, LimitDimension.NanoUsd).Open(tenant, LimitDimension.Tokens);
        ledger = ledger.SetCap(own, LimitDimension.NanoUsd, run.NanoUsdCap, () => 0).SetCap(own, LimitDimension.Tokens, run.TokensCap, () => 0);
        foreach (var (dimension, cap) in run.Caps)
        {
            if (dimension is not (LimitDimension.NanoUsd or LimitDimension.Tokens))
                ledger = ledger.SetCap(own, dimension, cap, () => 0);
        }

        return (state.With(created) with
        {
            LastRow = created.Row,
            Rows = state.Rows.Add(run.Id, created.Row),
            Keys = run.IdempotencyKey is { } taken ? state.Keys.Add(taken, created.Row) : state.Keys,
            Ledger = ledger,
        }, new CreateOutcome.Created());
    }

    internal static (MemoryState State, ClaimOutcome Outcome) Claim(MemoryState state, RunId id, NodeId node, DateTimeOffset now)
    {
        now = MemoryState.Ms(now);
        if (!state.IsAlive(node) || state.Find(id) is not { } run || run.Record.Status.IsFinal() || run.Record.MinEngine > EngineVersion.Level)
            return (state, new ClaimOutcome.NotClaimable());
        var record = run.Record;
        var reason = record.Owner is { } owner ? owner == node || !state.IsAlive(owner) ? "recovery" : null
            : record.DueAt <= now ? (!run.Inbox.IsEmpty ? "input" : record.Epoch == 0 ? "start" : "due")
            : null;
        if (reason is null)
            return (state, new ClaimOutcome.NotClaimable());

        var epoch = record.Epoch + 1;
        var doubtful = run.Holds.Select(h => new DoubtfulHold(h.Key, h.Value.Epoch, h.Value.Amounts.NanoUsd, h.Value.Amounts.Tokens)).ToList();
        var ledger = state.Ledger;
        foreach (var key in run.Holds.Keys)
            (run, ledger) = Doubt(run, ledger, key, "owner_lost", now);
        run = run.Append(epoch, now, Guid.Empty, new JournalDraft(EntryKind.EpochClaimed, JournalBodies.EpochClaimed(node.ToString(), reason, doubtful)));
        run = run with
        {
            Record = run.Record with { Status = RunClaims.StatusAfter(record.Status), Waiting = WaitReason.None, Owner = node, Epoch = epoch, UpdatedAt = now, DueAt = now, MinEngine = EngineVersion.Level },
        };
        state = state.With(run) with { Ledger = ledger };
        return (state, new ClaimOutcome.Claimed(state.Show(run)));
    }

    internal static (MemoryState State, AppendOutcome Outcome) Append(MemoryState state, ChangeSet unit, DateTimeOffset now)
    {
        if (state.Find(unit.Run) is not { } run)
            return (state, new AppendOutcome.Fenced());
        var record = run.Record;

        // The answer to this very unit may have been lost; then it is answered again, not refused.
        if (run.LastAppend == unit.AppendId || (unit.FirstSeq >= 1 && unit.FirstSeq <= record.LastSeq && run.Journal[(int)unit.FirstSeq - 1].AppendId == unit.AppendId))
            return (state, new AppendOutcome.Committed());
        if (record.Owner != unit.Fence.Owner || record.Epoch != unit.Fence.Epoch || record.LastSeq + 1 != unit.FirstSeq || record.Status.IsFinal() || !state.IsAlive(unit.Fence.Owner))
            return (state, new AppendOutcome.Fenced());
        if (Amounts.Reserved(unit.Budget) is { } wanted && state.Ledger.Check(run.Path, wanted, Amounts.Kept(unit.Budget)) is { } denial)
            return (state, new AppendOutcome.Denied(denial));

        var ledger = state.Ledger;
        foreach (var entry in unit.Entries)
            run = run.Append(record.Epoch, unit.At, unit.AppendId, entry);
        foreach (var change in unit.Budget)
            (run, ledger) = Apply(state, run, ledger, change, unit.At);
        run = run with { Inbox = run.Inbox.RemoveAll(i => unit.ConsumedInputs.Contains(i.Id)), LastAppend = unit.AppendId, Events = unit.Events.Select(Whole).Aggregate(run.Events, RunEvent.Add) };
        var ends = unit.State.Status.IsFinal();
        state = state.With(run) with { Ledger = ledger };
        foreach (var child in unit.Children)
            state = Create(state, child).State;
        foreach (var post in unit.Posts)
            state = ends && post.Run == unit.Run ? state : Post(state, post, now).State;

        return (state.With(Close(state.Find(unit.Run)!, unit, ends)), new AppendOutcome.Committed());
    }

    private static RunEvent Whole(RunEvent at) => at with { FirstAt = MemoryState.Ms(at.FirstAt), LastAt = MemoryState.Ms(at.LastAt) };

    internal static (MemoryState State, PostOutcome Outcome) Post(MemoryState state, NewInput input, DateTimeOffset now)
    {
        now = MemoryState.Ms(now);
        if (state.Find(input.Run) is not { } run)
            return (state, new PostOutcome.NotFound());
        if (run.Record.Status.IsFinal())
            return (state, new PostOutcome.Ended(run.Record.Status));
        if (run.InputIds.Contains(input.InputId))
            return (state, new PostOutcome.Duplicate());
        run = run with
        {
            Inbox = run.Inbox.Add(new InboxInput(state.LastInput + 1, input.InputId, input.Kind, input.Payload.ToArray(), now)),
            InputIds = run.InputIds.Add(input.InputId),
            Record = run.Record with { DueAt = run.Record.DueAt < now ? run.Record.DueAt : now },
        };
        return (state.With(run) with { LastInput = state.LastInput + 1 }, new PostOutcome.Posted());
    }

    internal static (MemoryState State, bool Confirmed) ConfirmEnd(MemoryState state, RunId id) =>
        state.Find(id) is { Record: { Summary.Unconfirmed: true } record } run && record.Status.IsFinal()
            ? (state.With(run with { Record = record with { Summary = record.Summary with { Unconfirmed = false, Detail = UnconfirmedEnds.Later } } }), true)
            : (state, false);

    /// <summary>Counts a hold as spent, and lists it as waste: it may have bought nothing.</summary>
    internal static (MemoryRun Run, MemoryLedger Ledger) Doubt(MemoryRun run, MemoryLedger ledger, string stepKey, string cause, DateTimeOffset at)
    {
        if (!run.Holds.TryGetValue(stepKey, out var hold))
            return (run, ledger);
        ledger = ledger.Settle(run.Path, hold.Amounts, hold.Amounts, hold.Amounts);
        ledger = ledger with { Waste = ledger.Waste.Add(new WasteRow(run.Id, stepKey, hold.Epoch, hold.Amounts.NanoUsd, hold.Amounts.Tokens, cause, MemoryState.Ms(at))) };
        return (run with { Holds = run.Holds.Remove(stepKey) }, ledger);
    }

    /// <summary>What is held below a node: a row that begins to exist begins with it.</summary>
    internal static long HeldBelow(MemoryState state, string node, LimitDimension dimension) =>
        state.Runs.Values.Where(r => !r.Holds.IsEmpty && r.Path.Contains(node)).SelectMany(r => r.Holds.Values).Aggregate(0L, (sum, hold) => Amounts.Sum(sum, hold.Amounts[dimension]));

    private static (MemoryRun Run, MemoryLedger Ledger) Apply(MemoryState state, MemoryRun run, MemoryLedger ledger, BudgetChange change, DateTimeOffset at)
    {
        switch (change)
        {
            case BudgetChange.Reserve(var key, var hold):
                // A second reservation of a step adds to its first.
                var before = run.Holds.GetValueOrDefault(key)?.Amounts ?? default;
                return (run with { Holds = run.Holds.SetItem(key, new MemoryHold(run.Record.Epoch, before.Plus(Amounts.Of(hold)))) }, ledger.Hold(run.Path, Amounts.Of(hold)));
            case BudgetChange.Settle(var key, var usage) when run.Holds.TryGetValue(key, out var held):
                return (run with { Holds = run.Holds.Remove(key) }, ledger.Settle(run.Path, held.Amounts, Amounts.Of(usage), default));
            case BudgetChange.Release(var key) when run.Holds.TryGetValue(key, out var held):
                return (run with { Holds = run.Holds.Remove(key) }, ledger.Settle(run.Path, held.Amounts, default, default));
            case BudgetChange.Doubt(var key):
                return Doubt(run, ledger, key, "unsettled", at);
            case BudgetChange.SetCap(var dimension, var cap):
                return (run, ledger.SetCap(BudgetNodes.Of(run.Id), dimension, cap, () => HeldBelow(state.With(run), BudgetNodes.Of(run.Id), dimension)));
            case BudgetChange.Count(var dimension, var amount):
                return (run, ledger.Count(run.Path.Take(run.Path.Length - 1), dimension, amount));
            default:
                return (run, ledger);
        }
    }

    /// <summary>The run's row after the unit.</summary>
    private static MemoryRun Close(MemoryRun run, ChangeSet unit, bool ends)
    {
        var row = unit.State;
        var at = MemoryState.Ms(unit.At);
        var due = row.DueAt is { } given ? MemoryState.Ms(given) : (DateTimeOffset?)null;

        // An input that came between the owner's last look and this release must find the run due.
        if (row.Release && !run.Inbox.IsEmpty)
            due = at;
        var progressed = unit.Entries.Any(e => e.Kind == EntryKind.StepCompleted);
        return run with
        {
            Record = run.Record with
            {
                Status = row.Status,
                Waiting = row.Waiting,
                Paused = row.Paused,
                UpdatedAt = at,
                EndedAt = ends ? at : null,
                DueAt = ends ? null : due,
                Owner = ends || row.Release ? null : run.Record.Owner,
                Summary = row.Summary with { CurrentStep = null },
                Suspicion = progressed ? 0 : run.Record.Suspicion,
                LoneCrashes = progressed ? 0 : run.Record.LoneCrashes,
            },
        };
    }
}
