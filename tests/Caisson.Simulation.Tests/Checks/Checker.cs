using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>
/// Holds every write against the invariants of the engine's contract. It sees the state before and after, and what was
/// asked; it keeps books of its own and takes nothing from the store's word.
/// </summary>
internal sealed class Checker(SimLoop loop, MemoryBlobs blobs)
{
    private readonly Dictionary<RunId, RunBook> _books = [];

    internal void Check(Commit commit)
    {
        if (commit is { Request: ChangeSet unit, Outcome: AppendOutcome.Committed })
        {
            Report(_books[unit.Run].CheckFence(commit, unit));
            Report(LedgerCheck.Admission(commit, unit));
            Report(InputCheck.Consumed(commit, unit));
        }

        foreach (var run in commit.After.Runs.Values)
        {
            var before = commit.Before.Find(run.Id);
            if (ReferenceEquals(run, before))
                continue;
            if (!_books.TryGetValue(run.Id, out var book))
                _books[run.Id] = book = new RunBook(run.Id, blobs);
            Report(book.Follow(commit, before, run));
        }

        if (!ReferenceEquals(commit.Before.Ledger, commit.After.Ledger))
            Report(LedgerCheck.Holds(commit));
        Report(InputCheck.Posted(commit));
        Report(ScheduleCheck.Fired(commit));
    }

    /// <summary>When all is over.</summary>
    internal void CheckEnd(MemoryState state)
    {
        Report(LedgerCheck.Spent(state));
        foreach (var book in _books.Values)
            Report(book.CheckEnd(state.Find(book.Run)!));
    }

    private void Report((string Invariant, string Text)? found)
    {
        if (found is { } broken)
            loop.Fail(broken.Invariant, broken.Text);
    }
}
