using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// How far claims run ahead of what is loaded.
/// <para>
/// Problem: after a crash thousands of runs can be claimed at once. Claimed all together they would load their journals
/// all together, the order that the store gives them would count for nothing, and a run that is more urgent would come
/// behind them all. So a bounded number is claimed and not loaded yet, and the next ones are claimed when half of that
/// is free again: no delays, and batches large enough to share a commit.
/// </para>
/// </summary>
internal sealed class ClaimPace(EngineTasks tasks)
{
    internal const int MostOpening = 64;
    private const int Batch = MostOpening / 2;

    private readonly Wake _room = new(tasks);
    private int _opening;

    /// <summary>How many may be claimed now; 0 where it is not worth a batch yet, and then <see cref="Freed"/> tells.</summary>
    internal int TakeRoom()
    {
        _room.Take();
        var opening = Volatile.Read(ref _opening);
        return opening > Batch ? 0 : MostOpening - opening;
    }

    internal Task Freed => _room.Next;

    internal void Claimed() => Interlocked.Increment(ref _opening);

    /// <summary>Its journal is read, or it turned out that it cannot be.</summary>
    internal void Opened()
    {
        if (Interlocked.Decrement(ref _opening) == Batch)
            _room.Set();
    }
}
