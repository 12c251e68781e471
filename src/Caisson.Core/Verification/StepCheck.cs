using Caisson.Core.Journal;
using Caisson.Core.Operations;

namespace Caisson.Core.Verification;

/// <summary>A step completes once, its attempts rise, and only one of unknown outcome is resolved.</summary>
internal sealed class StepCheck
{
    private readonly Dictionary<string, Life> _lives = new(StringComparer.Ordinal);

    private readonly record struct Life(int Started, int Failed, long CompletedAt, bool Unknown)
    {
        internal bool Completed => CompletedAt > 0;
    }

    internal void Add(JournalEntry entry, EntryBody body, FindingList found)
    {
        if (StepOf(body) is not { } step)
            return;
        if (entry.Key is not { Length: > 0 } key)
        {
            found.Add(entry.Seq, FindingCode.KeyMissing, $"{entry.Kind} of '{step.Name}' names no step key");
            return;
        }

        var life = _lives.GetValueOrDefault(key);
        _lives[key] = body switch
        {
            EntryBody.StepStarted => Attempt(entry, life, entry.Attempt > Math.Max(life.Started, life.Failed), found) with { Started = Math.Max(life.Started, entry.Attempt) },
            EntryBody.StepFailed => Attempt(entry, life, entry.Attempt >= life.Started && entry.Attempt > life.Failed, found) with { Failed = Math.Max(life.Failed, entry.Attempt) },
            EntryBody.EgressIntended => Attempt(entry, life, entry.Attempt > life.Failed, found),
            EntryBody.StepUnknown => Attempt(entry, life, rises: true, found) with { Unknown = true },
            EntryBody.StepCompleted => Completion(entry, life, entry.Attempt >= life.Started && entry.Attempt > life.Failed, found),
            EntryBody.StepResolved resolved => Resolution(entry, life, resolved, found),
            _ => life,
        };
    }

    /// <summary>From here on the agent takes another way: what was completed on the old one may be done again.</summary>
    internal void Branch(long seq)
    {
        foreach (var (key, life) in _lives.Where(life => life.Value.CompletedAt >= seq).ToList())
            _lives[key] = life with { CompletedAt = 0 };
    }

    /// <summary>The step that an entry is about, if it is about one.</summary>
    internal static StepSubject? StepOf(EntryBody body) => body switch
    {
        EntryBody.StepStarted started => started.Step,
        EntryBody.StepCompleted completed => completed.Step,
        EntryBody.StepFailed failed => failed.Step,
        EntryBody.StepUnknown unknown => unknown.Step,
        EntryBody.EgressIntended intended => intended.Step,
        EntryBody.StepResolved resolved => resolved.Step,
        _ => null,
    };

    private static Life Attempt(JournalEntry entry, Life life, bool rises, FindingList found)
    {
        if (life.Completed)
            found.Add(entry.Seq, FindingCode.ExecutedAgain, $"{entry.Kind} of step {Short(entry)}, which entry {life.CompletedAt} has completed");
        else if (!rises)
            found.Add(entry.Seq, FindingCode.AttemptFell, $"{entry.Kind} of step {Short(entry)} is attempt {entry.Attempt}, after attempt {Math.Max(life.Started, life.Failed)}");
        return life;
    }

    private static Life Completion(JournalEntry entry, Life life, bool rises, FindingList found)
    {
        if (life.Completed)
            found.Add(entry.Seq, FindingCode.CompletedTwice, $"step {Short(entry)} is completed by entry {life.CompletedAt} already");
        else if (!rises)
            found.Add(entry.Seq, FindingCode.AttemptFell, $"{entry.Kind} of step {Short(entry)} is attempt {entry.Attempt}, after attempt {Math.Max(life.Started, life.Failed)}");
        return life with { CompletedAt = life.Completed ? life.CompletedAt : entry.Seq, Unknown = false };
    }

    private static Life Resolution(JournalEntry entry, Life life, EntryBody.StepResolved resolved, FindingList found)
    {
        var completes = OpenUnknowns.Completes(resolved);
        if (life.Completed && completes)
            found.Add(entry.Seq, FindingCode.CompletedTwice, $"step {Short(entry)} is completed by entry {life.CompletedAt} already");
        else if (!life.Unknown)
            found.Add(entry.Seq, FindingCode.ResolvedUnasked, $"step {Short(entry)} is resolved, and was not of unknown outcome");
        return life with { CompletedAt = completes && !life.Completed ? entry.Seq : life.CompletedAt, Unknown = false };
    }

    private static string Short(JournalEntry entry) => entry.Key is { Length: > 12 } key ? key[..12] : entry.Key ?? "";
}
