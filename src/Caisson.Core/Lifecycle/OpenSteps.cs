using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// What one ownership has under way: steps that are not recorded yet, and holds that the store has. Follows the store: a hold is added and dropped only when that was committed. Its owner locks.
/// </summary>
internal sealed class OpenSteps
{
    private readonly Dictionary<string, StepSubject> _inFlight = new(StringComparer.Ordinal);

    private readonly Dictionary<string, string> _notes = new(StringComparer.Ordinal);

    /// <summary>Each hold, and until when nothing is under way for it: the wait for a retry.</summary>
    private readonly Dictionary<string, DateTimeOffset> _held = new(StringComparer.Ordinal);

    /// <summary>Whether a further step may begin, beside those completed and under way.</summary>
    internal LimitDenial? Check(CountLimits limits, StepKey key, StepKind kind, RunSummary done, DateTimeOffset now)
    {
        var (steps, tools, models) = (done.Steps, done.ToolCalls, done.ModelCalls);
        foreach (var (other, subject) in _inFlight)
        {
            if (other == key.Hash)
                continue;
            steps++;
            tools += subject.Kind == StepKind.Tool ? 1 : 0;
            models += subject.Kind == StepKind.Model ? 1 : 0;
        }

        return limits.Check(kind, steps, tools, models, now);
    }

    internal void Add(StepKey key, StepSubject subject) => _inFlight[key.Hash] = subject;

    /// <returns>What it was, or <c>null</c> where it was not under way.</returns>
    internal StepSubject? Remove(StepKey key)
    {
        _notes.Remove(key.Hash);
        return _inFlight.Remove(key.Hash, out var subject) ? subject : null;
    }

    internal bool IsOnly(StepKey key) => _inFlight.Count == 1 && Contains(key);

    /// <summary>What a step under way last said of itself.</summary>
    internal void Note(StepKey key, string? note)
    {
        if (note is not null && Contains(key))
            _notes[key.Hash] = note;
    }

    internal bool Contains(StepKey key) => _inFlight.ContainsKey(key.Hash);

    internal IEnumerable<StepSubject> All => _inFlight.Values;

    internal bool IsHeld(StepKey key) => _held.ContainsKey(key.Hash);

    /// <summary>Nothing is under way for this hold until then.</summary>
    internal void Rest(StepKey key, DateTimeOffset until) => _held[key.Hash] = until;

    internal void Committed(IEnumerable<BudgetChange> changes)
    {
        foreach (var change in changes)
        {
            switch (change)
            {
                case BudgetChange.Reserve reserve:
                    _held[reserve.StepKey] = DateTimeOffset.MinValue;
                    break;
                case BudgetChange.Settle settle:
                    _held.Remove(settle.StepKey);
                    break;
                case BudgetChange.Release release:
                    _held.Remove(release.StepKey);
                    break;
                case BudgetChange.Doubt doubt:
                    _held.Remove(doubt.StepKey);
                    break;
            }
        }
    }

    /// <summary>What becomes of the holds when the run halts: a call that waits for its next attempt is surely not under way, any other may be billed.</summary>
    internal List<BudgetChange> Abandon(DateTimeOffset now) =>
        [.. _held.Select(hold => hold.Value > now ? (BudgetChange)new BudgetChange.Release(hold.Key) : new BudgetChange.Doubt(hold.Key))];

    /// <summary>For people; <c>null</c> when nothing is under way.</summary>
    internal string? Describe(StopRequest? stop) => _inFlight.Count == 0
        ? null
        : string.Join(", ", _inFlight.Select(step => $"{Words.Of(step.Value.Kind)} {step.Value.Name}{(_notes.TryGetValue(step.Key, out var note) ? ": " + note : "")}")) + (stop is null ? "" : $" (then {Words.Of(stop.Kind)})");
}
