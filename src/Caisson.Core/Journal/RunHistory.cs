using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>
/// What a run's journal says, read once when the run is claimed: the completions to answer from, the limits in force,
/// the state of the workspace. Pure: entries in, facts out.
/// </summary>
internal sealed class RunHistory
{
    private readonly Dictionary<string, StepRecord> _completed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _attempts = new(StringComparer.Ordinal);
    private readonly HashSet<string> _consumed = new(StringComparer.Ordinal);
    private readonly List<long> _loopResets = [];
    private readonly SortedSet<(long Seq, string Key)> _open = [];
    private PauseCause _lastPause;

    internal EntryBody.RunCreated? Created { get; private set; }
    internal DateTimeOffset CreatedAt { get; private set; }
    internal RaisedLimits Raised { get; private set; } = new();
    internal long LastSeq { get; private set; }
    internal long Steps { get; private set; }
    internal long ToolCalls { get; private set; }
    internal long InputTokens { get; private set; }
    internal long OutputTokens { get; private set; }
    internal string? WorkspaceRoot { get; private set; }
    internal bool CancelRequested { get; private set; }
    internal bool Ended { get; private set; }

    /// <summary>Tool steps were completed by an earlier owner, so a box of an earlier epoch existed.</summary>
    internal bool HadBox { get; private set; }

    /// <summary>Whether recorded steps wait to be answered: the attempt has not reached new ground yet.</summary>
    internal bool Replaying => _open.Count > 0;

    /// <summary>Places where an operator resumed a run that the loop guard had paused: its counters start again there.</summary>
    internal IReadOnlyList<long> LoopResets => _loopResets;

    internal void Add(JournalEntry entry)
    {
        if (entry.Seq != LastSeq + 1)
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the journal goes from entry {LastSeq} to entry {entry.Seq}: restore the data directory from a backup");
        LastSeq = entry.Seq;
        switch (entry.Kind)
        {
            case EntryKind.RunCreated:
                Created = JournalJson.Read<EntryBody.RunCreated>(entry.Body);
                CreatedAt = entry.At;
                break;
            case EntryKind.StepStarted:
                Attempted(entry);
                break;
            case EntryKind.StepFailed:
                Attempted(entry);
                break;
            case EntryKind.StepCompleted:
                Completed(entry, JournalJson.Read<EntryBody.StepCompleted>(entry.Body));
                break;
            case EntryKind.LimitRaised:
                Raise(JournalJson.Read<EntryBody.LimitRaised>(entry.Body).Limits);
                break;
            case EntryKind.CancelRequested:
                CancelRequested = true;
                break;
            case EntryKind.Paused:
                _lastPause = JournalJson.Read<EntryBody.Paused>(entry.Body).Cause;
                break;
            case EntryKind.Resumed when _lastPause == PauseCause.Loop:
                _loopResets.Add(entry.Seq);
                break;
            case EntryKind.RunEnded:
                Ended = true;
                break;
        }
    }

    internal void Raise(RaisedLimits limits) => Raised = new RaisedLimits(
        limits.NanoUsd ?? Raised.NanoUsd, limits.Tokens ?? Raised.Tokens, limits.Steps ?? Raised.Steps,
        limits.ToolCalls ?? Raised.ToolCalls, limits.Deadline ?? Raised.Deadline, limits.LoopRepeats ?? Raised.LoopRepeats);

    /// <summary>The recorded completion of a step, consumed by this call; drift where the record is of something else.</summary>
    internal StepLookup Find(StepKey key, StepSubject subject)
    {
        if (_completed.TryGetValue(key.Hash, out var record) && _consumed.Add(key.Hash))
        {
            _open.Remove((record.Seq, key.Hash));

            // Answered once, needed no more: a long run would hold every result until its end.
            _completed[key.Hash] = record with { Result = ReadOnlyMemory<byte>.Empty };
            var (was, now) = (record.Subject, subject);
            return was.Kind == now.Kind && was.Name == now.Name && was.ArgumentsHash == now.ArgumentsHash && was.CallId == now.CallId
                ? new StepLookup.Recorded(record)
                : new StepLookup.Drifted(new DriftReport(record.Seq, Describe(was), Describe(now)));
        }

        // A model is asked only when everything before it is done, so recorded steps that nobody asked for mean that
        // the agent took another way than the journal. Tools of one answer complete in any order and prove nothing.
        if (subject.Kind == StepKind.Model && Replaying)
        {
            var (seq, open) = _open.Min;
            return new StepLookup.Drifted(new DriftReport(seq, Describe(_completed[open].Subject), Describe(subject)));
        }

        return new StepLookup.NotRecorded(_attempts.GetValueOrDefault(key.Hash));
    }

    /// <summary>The number that the next attempt of a step bears, from 1.</summary>
    internal int Attempt(StepKey key) => _attempts.GetValueOrDefault(key.Hash) + 1;

    internal void Attempted(StepKey key, int attempt) => _attempts[key.Hash] = Math.Max(_attempts.GetValueOrDefault(key.Hash), attempt);

    internal void LoopReset(long seq) => _loopResets.Add(seq);

    private void Attempted(JournalEntry entry)
    {
        if (entry.Key is { } key)
            Attempted(new StepKey(key), entry.Attempt);
    }

    private void Completed(JournalEntry entry, EntryBody.StepCompleted body)
    {
        var key = entry.Key ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entry {entry.Seq} completes a step without a key");
        var record = new StepRecord(entry.Seq, new StepKey(key), body.Step, entry.Payload ?? ReadOnlyMemory<byte>.Empty, body.Failure, body.Workspace);
        if (!_completed.TryAdd(key, record))
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entries {_completed[key].Seq} and {entry.Seq} complete the same step");
        _open.Add((entry.Seq, key));
        Steps++;
        if (body.Step.Kind == StepKind.Tool)
        {
            ToolCalls++;
            HadBox = true;
        }

        InputTokens += body.Usage?.InputTokens ?? 0;
        OutputTokens += body.Usage?.OutputTokens ?? 0;
        WorkspaceRoot = body.Workspace ?? WorkspaceRoot;
    }

    private static string Describe(StepSubject subject) =>
        $"{Words.Of(subject.Kind)} {subject.Name} ({subject.ArgumentsHash[..Math.Min(12, subject.ArgumentsHash.Length)]}{(subject.CallId is null ? "" : ", " + subject.CallId)})";
}
