using System.Collections.Concurrent;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;

namespace Caisson.Core.Journal;

/// <summary>
/// What a run's journal says: the answers that a replay gives, in their order, the limits in force, what is open. Read
/// whole when a turn of the agent begins, and kept in step with what its owner writes after that. Pure: entries in,
/// facts out.
/// </summary>
internal sealed class RunHistory
{
    private readonly Queue<Arrival> _arrivals = new();
    private readonly Dictionary<string, long> _completed = new(StringComparer.Ordinal);

    // Read by each step that begins, while another one that ends is written: a start that is missed would be a step done twice.
    private readonly ConcurrentDictionary<string, int> _attempts = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, OpenStart> _started = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> _timers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OpenApproval> _approvals = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _questions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ChildState> _children = new(StringComparer.Ordinal);
    private readonly List<long> _loopResets = [];
    private readonly List<long> _effects = [];
    private PauseCause _lastPause;
    private int _poisonResumes;
    private DateTimeOffset _answeredAt;

    internal EntryBody.RunCreated? Created { get; private set; }
    internal DateTimeOffset CreatedAt { get; private set; }

    /// <summary>When this run itself began: a fork brings its parent's creation along, and its own times count from the fork.</summary>
    internal DateTimeOffset BeganAt { get; private set; }
    internal RaisedLimits Raised { get; private set; } = new();
    internal long LastSeq { get; private set; }
    internal long Steps { get; private set; }
    internal long ToolCalls { get; private set; }
    internal long ModelCalls { get; private set; }
    internal long InputTokens { get; private set; }
    internal long OutputTokens { get; private set; }
    internal string? WorkspaceRoot { get; private set; }

    /// <summary>What stays of the files after the end, where that is not all.</summary>
    internal WorkspaceKeep? Kept { get; private set; }
    internal DateTimeOffset LastProgress { get; private set; }
    internal bool CancelRequested { get; private set; }
    internal bool Ended { get; private set; }

    /// <summary>The build of the agent that this journal was last found to fit.</summary>
    internal string? Build { get; private set; }
    internal EntryBody.ForkedFrom? Fork { get; private set; }

    /// <summary>State and occurrence counts of the last snapshot: a replay begins there.</summary>
    internal ReadOnlyMemory<byte>? Saved { get; private set; }

    /// <summary>The agent's time at the last snapshot: that of the latest answer until then, whatever the clocks of the owners said.</summary>
    internal DateTimeOffset? SavedAt { get; private set; }
    internal long SavedSeq { get; private set; }
    internal IReadOnlyDictionary<string, int> SavedOccurrences { get; private set; } = new Dictionary<string, int>();

    /// <summary>Tool steps were completed by an earlier owner, so a box of an earlier epoch existed.</summary>
    internal bool HadBox { get; private set; }

    /// <summary>What a replay answers, in this order. The turn that replays empties it.</summary>
    internal Queue<Arrival> Arrivals => _arrivals;

    internal bool Replaying => _arrivals.Count > 0;

    /// <summary>Places where an operator resumed a run that the loop guard had paused: its counters start again there.</summary>
    internal IReadOnlyList<long> LoopResets => _loopResets;

    /// <summary>Children by the key of the step that spawned them.</summary>
    internal IReadOnlyDictionary<string, ChildState> Children => _children;

    internal IReadOnlyDictionary<string, OpenApproval> Approvals => _approvals;

    internal void Add(JournalEntry entry)
    {
        if (entry.Seq != LastSeq + 1)
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the journal goes from entry {LastSeq} to entry {entry.Seq}: restore the data directory from a backup");
        LastSeq = entry.Seq;
        try
        {
            Take(entry.Seq, entry.At, entry.Kind, entry.Key, entry.Attempt, EntryBodies.Read(entry.Kind, entry.Body), entry.Payload ?? default, replayed: true);
        }
        catch (Exception damage) when (damage is NullReferenceException or ArgumentNullException or KeyNotFoundException)
        {
            // JSON that is whole, but lacks what its kind must have: damage, like any other.
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entry {entry.Seq} lacks what a {Words.Of(entry.Kind)} must say: restore the data directory from a backup", inner: damage);
        }
    }

    /// <summary>Follows a write of the owner; its answer goes to the agent by another way.</summary>
    internal Arrival? Wrote(EntryDraft draft, DateTimeOffset at)
    {
        LastSeq++;
        return Take(LastSeq, at, draft.Kind, draft.Key, draft.Attempt, draft.Body, draft.Payload ?? default, replayed: false);
    }

    private Arrival? Take(long seq, DateTimeOffset at, EntryKind kind, string? key, int attempt, EntryBody body, ReadOnlyMemory<byte> payload, bool replayed)
    {
        var slot = Arrival.SlotOf(kind, key, body);
        if (slot is not null && at > _answeredAt)
            _answeredAt = at;
        switch (body)
        {
            case EntryBody.RunCreated created:
                (Created, CreatedAt, BeganAt, LastProgress, Build) = (created, at, at, at, created.Build);
                _answeredAt = at;
                break;
            case EntryBody.StepStarted started:
                Attempted(key, attempt);
                if (started.Effect is EffectClass.AtMostOnce or EffectClass.Compensable)
                    _started[key!] = new OpenStart(seq, started.Step, started.Effect.Value, attempt, Unknown: false);
                break;
            case EntryBody.StepFailed:
                Attempted(key, attempt);
                _started.TryRemove(key!, out _);
                break;
            case EntryBody.EgressIntended intended:
                // A tool's step that nothing left is repeated; this one is not any more.
                Attempted(key, attempt);
                _started[key!] = new OpenStart(seq, intended.Step, EffectClass.AtMostOnce, attempt, Unknown: false);
                break;
            case EntryBody.StepUnknown unknown:
                _started[key!] = new OpenStart(seq, unknown.Step, unknown.Effect, attempt, Unknown: true);
                break;
            case EntryBody.StepCompleted completed:
                Completed(seq, at, key, completed);
                break;
            case EntryBody.StepResolved resolved:
                _started.TryRemove(key!, out _);
                if (resolved.How != StepResolutions.NotDone)
                    Once(seq, key!);
                break;
            case EntryBody.TimerSet timer:
                _timers[key!] = timer.DueAt;
                break;
            case EntryBody.LimitHit hit:
                LimitAsked = hit;
                break;
            case EntryBody.ApprovalRequested request:
                _approvals[key!] = new OpenApproval(request, [], WorkspaceRoot);
                _questions[key!] = request.Question;
                break;
            case EntryBody.ApprovalDecided { Partial: true } partial:
                _approvals[key!] = _approvals[key!] with { Yes = [.. _approvals[key!].Yes, .. partial.By] };
                break;
            case EntryBody.ApprovalDecided:
                _approvals.Remove(key!);
                break;
            case EntryBody.ChildSpawned spawned:
                _children[key!] = new ChildState(spawned, Ended: false);
                break;
            case EntryBody.ChildEnded when _children.TryGetValue(key!, out var child):
                _children[key!] = child with { Ended = true };
                break;
            case EntryBody.Snapshot snapshot:
                Snapshot(seq, at, snapshot, payload, replayed);
                return replayed ? null : new Arrival(seq, at, kind, key, body, payload, Slots.Step(key!));
            case EntryBody.ForkedFrom fork:
                (Fork, BeganAt, LastProgress) = (fork, at, at);
                break;
            case EntryBody.VersionAdopted adopted:
                Build = adopted.To;
                break;
            case EntryBody.Drift { WentLive: true } drift:
                Branch(drift.Report.Seq);
                break;
            case EntryBody.WorkspaceKept kept:
                (WorkspaceRoot, Kept) = (kept.Root, kept.Keep);
                break;
            case EntryBody.LimitRaised raised:
                Raise(raised.Limits);
                break;
            case EntryBody.CancelRequested:
                CancelRequested = true;
                break;
            case EntryBody.Paused paused:
                _lastPause = paused.Cause;
                break;
            case EntryBody.Resumed when _lastPause == PauseCause.Loop:
                _loopResets.Add(seq);
                break;
            case EntryBody.Resumed when _lastPause == PauseCause.Budget:
                ForgetDenials();
                break;
            case EntryBody.Resumed when _lastPause == PauseCause.Poison:
                _poisonResumes++;
                break;
            case EntryBody.RunEnded:
                Ended = true;
                break;
        }

        if (slot is null)
            return null;
        var arrival = new Arrival(seq, at, kind, key, body, payload, slot);
        if (replayed)
            _arrivals.Enqueue(arrival);
        return arrival;
    }

    /// <summary>Whether a person let the run go on after so many lone crashes.</summary>
    internal bool ResumedSince(int loneCrashes) => _poisonResumes > 0 && loneCrashes <= _poisonResumes + 2;

    internal void Raise(RaisedLimits limits) => Raised = Raised.With(limits);

    /// <summary>
    /// Whose identity seeds ids and chance after an answer: the parent's while a fork goes over what it brought, also up
    /// to its first answer of its own, since a step that was open there was asked for with them; then the run's.
    /// </summary>
    internal string SeedOf(RunId run, long answered) => Fork?.Seeds.FirstOrDefault(span => answered <= span.Until)?.Run ?? run.ToString();

    /// <summary>Attempts of a step so far.</summary>
    internal int Attempts(StepKey key) => _attempts.GetValueOrDefault(key.Hash);

    /// <summary>A start of a step that must not be repeated, without its end.</summary>
    internal OpenStart? StartOf(string key) => _started.GetValueOrDefault(key);

    /// <summary>Timers that were ever set.</summary>
    internal int Timers => _timers.Count;

    internal DateTimeOffset? TimerOf(string key) => _timers.TryGetValue(key, out var due) ? due : null;

    /// <summary>Entries from a place on whose effects another way through the journal would repeat.</summary>
    internal IReadOnlyList<long> EffectsFrom(long seq) => [.. _effects.Where(s => s >= seq)];

    /// <summary>The limit that a question of the policy <c>ask</c> is about.</summary>
    internal EntryBody.LimitHit? LimitAsked { get; private set; }

    /// <summary>What a person was shown, arguments included, under the key of an approval.</summary>
    internal string? QuestionOf(string key) => _questions.GetValueOrDefault(key);

    private void Attempted(string? key, int attempt)
    {
        if (key is not null)
            _attempts[key] = Math.Max(_attempts.GetValueOrDefault(key), attempt);
    }

    private void Completed(long seq, DateTimeOffset at, string? key, EntryBody.StepCompleted body)
    {
        if (key is null)
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entry {seq} completes a step without a key");
        Once(seq, key);
        if (_started.TryRemove(key, out _))
            _effects.Add(seq);
        Steps++;
        ToolCalls += body.Step.Kind == StepKind.Tool ? 1 : 0;
        ModelCalls += body.Step.Kind == StepKind.Model ? 1 : 0;
        HadBox |= body.Step.Kind == StepKind.Tool;
        InputTokens += body.Usage?.InputTokens ?? 0;
        OutputTokens += body.Usage?.OutputTokens ?? 0;
        WorkspaceRoot = body.Workspace ?? WorkspaceRoot;
        LastProgress = at > LastProgress ? at : LastProgress;
    }

    private void Once(long seq, string key)
    {
        if (!_completed.TryAdd(key, seq))
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entries {_completed[key]} and {seq} complete the same step");
    }

    private void Snapshot(long seq, DateTimeOffset at, EntryBody.Snapshot snapshot, ReadOnlyMemory<byte> state, bool replayed)
    {
        (Saved, SavedSeq, SavedAt, SavedOccurrences) = (state, seq, _answeredAt, snapshot.Occurrences);
        if (!replayed)
            return;

        // Signals that nobody had taken are the only answers that a snapshot leaves open.
        var open = snapshot.Signals.ToHashSet();
        var kept = _arrivals.Where(a => open.Contains(a.Seq) || (a.Kind == EntryKind.SignalConsumed && a.Seq > snapshot.Seen)).ToList();
        _arrivals.Clear();
        foreach (var arrival in kept)
            _arrivals.Enqueue(arrival);
    }

    /// <summary>
    /// The last call was denied as well, and somebody gave more: then the agent is not told of the limit it was at, and
    /// its work goes on. No answer after that denial is recorded, so this is no other way through the journal.
    /// </summary>
    private void ForgetDenials()
    {
        for (var left = _arrivals.Count; left > 0; left--)
        {
            if (_arrivals.Dequeue() is { Kind: not EntryKind.LimitHit } other)
                _arrivals.Enqueue(other);
        }
    }

    /// <summary>The run went another way from here on: what was recorded after it belongs to the branch that was left.</summary>
    private void Branch(long seq)
    {
        var kept = _arrivals.Where(a => a.Seq < seq || a.Kind == EntryKind.SignalConsumed).ToList();
        foreach (var left in _arrivals.Where(a => a.Seq >= seq && a.Key is not null))
            _completed.Remove(left.Key!);
        _arrivals.Clear();
        foreach (var arrival in kept)
            _arrivals.Enqueue(arrival);
    }

    internal static string Describe(StepSubject subject) =>
        $"{Words.Of(subject.Kind)} {subject.Name} ({subject.ArgumentsHash[..Math.Min(12, subject.ArgumentsHash.Length)]}{(subject.CallId is null ? "" : ", " + subject.CallId)})";
}

/// <param name="Unknown">Whether <c>StepUnknown</c> was journaled for it already.</param>
internal sealed record OpenStart(long Seq, StepSubject Step, EffectClass Effect, int Attempt, bool Unknown);

/// <param name="Yes">Who has approved so far, where more than one must.</param>
/// <param name="Root">The files that it was asked about.</param>
internal sealed record OpenApproval(EntryBody.ApprovalRequested Request, IReadOnlyList<string> Yes, string? Root);

internal sealed record ChildState(EntryBody.ChildSpawned Spawned, bool Ended);
