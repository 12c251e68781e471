using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// What a run's end means for its relatives, in the same transaction: its parent hears of it, and its children that are
/// not detached are cancelled. A child never outlives its parent unnoticed, whoever dies in between. Pure.
/// </summary>
internal static class Family
{
    internal static IReadOnlyList<NewInput> Farewell(RunId run, RunId? parent, RunHistory history, RunState state, IReadOnlyList<EntryDraft> entries)
    {
        var posts = new List<NewInput>();
        if (parent is { } above && entries.Select(e => e.Body).OfType<EntryBody.RunEnded>().FirstOrDefault() is { } end)
            posts.Add(new NewInput(above, $"ended:{run}", InputKind.ChildEnded, JournalJson.Write(new InputBody.ChildEnd(run.ToString(), state.Status, end.Result, end.Failure))));
        foreach (var child in history.Children.Values)
        {
            if (!child.Ended && !child.Spawned.Detached)
                posts.Add(new NewInput(RunId.Parse(child.Spawned.Child), $"parent-ended:{run}", InputKind.Cancel, JournalJson.Write(new InputBody.Operator($"parent {run}", "its parent ended", null))));
        }

        return posts;
    }

    /// <summary>Id of the child that a step spawns: the same however often it is tried. A UUIDv7 with its parent's time.</summary>
    internal static RunId ChildId(RunId parent, StepKey key)
    {
        var hash = Convert.FromHexString(StepHash.Of("child", parent.ToString(), key.Hash));
        Span<byte> bytes = stackalloc byte[16];
        parent.Value.TryWriteBytes(bytes, bigEndian: true, out _);
        hash.AsSpan(0, 10).CopyTo(bytes[6..]);
        bytes[6] = (byte)(0x70 | (bytes[6] & 0x0f));
        bytes[8] = (byte)(0x80 | (bytes[8] & 0x3f));
        return new RunId(new Guid(bytes, bigEndian: true));
    }
}
