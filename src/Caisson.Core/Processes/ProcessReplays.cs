using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Processes;

/// <summary>
/// Which of a program's requests were answered from the journal, and how loosely. They cost nothing and change nothing, so
/// they are written down together, before the next call that is not answered so, and at the program's end.
/// </summary>
internal sealed class ProcessReplays(RunSession session)
{
    private const int MostListed = 100;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, int> _levels = new(StringComparer.Ordinal);
    private readonly List<LooseReplay> _loose = [];
    private bool _diverged;

    /// <param name="seq">The record that answered.</param>
    /// <param name="isExact">Whether the request was the recorded one.</param>
    internal void Add(long seq, string level, bool isExact)
    {
        lock (_lock)
        {
            _levels[level] = _levels.GetValueOrDefault(level) + 1;
            if (!isExact && _loose.Count < MostListed)
                _loose.Add(new LooseReplay(seq, level));
        }
    }

    internal Task WriteAsync()
    {
        EntryBody.Replayed entry;
        lock (_lock)
        {
            if (_levels.Count == 0)
                return Task.CompletedTask;
            entry = new EntryBody.Replayed(_levels.ToDictionary(), _loose.Count == 0 ? null : [.. _loose]);
            _levels.Clear();
            _loose.Clear();
        }

        return session.JournalAsync([new EntryDraft(EntryKind.Replayed, entry)], null);
    }

    /// <summary>The program asks for something else than it did when a record was made that still waits to be asked for.</summary>
    /// <returns>Why the run cannot go on with it; <c>null</c>: it goes on, and the first parting of this start is written down.</returns>
    internal async Task<Turns.RunHalt?> DivergeAsync(DriftReport report, DivergencePolicy policy)
    {
        var effects = session.History.EffectsFrom(report.Seq);
        if (policy == DivergencePolicy.Fail)
            return new Turns.RunHalt.Failed(new Failure(ErrorCodes.ProcessFailed, string.Create(CultureInfo.InvariantCulture, $"the program asks for {report.Asked} where entry {report.Seq} has {report.Recorded}, and its policy on divergence is to fail")));
        if (policy == DivergencePolicy.Pause || effects.Count > 0)
            return new Turns.RunHalt.Drifted(report);
        if (!Interlocked.Exchange(ref _diverged, true))
            await session.JournalAsync([new EntryDraft(EntryKind.Drift, new EntryBody.Drift(report))], null);
        return null;
    }

    /// <summary>The program begins anew.</summary>
    internal void Restart() => Volatile.Write(ref _diverged, false);
}
