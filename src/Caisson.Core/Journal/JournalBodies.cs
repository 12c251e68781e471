namespace Caisson.Core.Journal;

/// <summary>Bodies of the one kind of entry that stores write themselves: the claim, which is decided in their transaction.</summary>
public static class JournalBodies
{
    public static byte[] EpochClaimed(string node, string reason, IReadOnlyList<DoubtfulHold> inDoubt) =>
        JournalJson.Write(new EntryBody.EpochClaimed(node, reason, inDoubt));
}

/// <summary>A hold that its owner's end left unsettled: spent until somebody knows better.</summary>
public sealed record DoubtfulHold(string StepKey, long Epoch, long NanoUsd, long Tokens);
