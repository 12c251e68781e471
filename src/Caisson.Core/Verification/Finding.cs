namespace Caisson.Core.Verification;

/// <summary>Something in a journal that the engine never writes: damage, or a fault of ours.</summary>
/// <param name="Seq">The entry at which it shows; 0 where it is about the whole run.</param>
public sealed record Finding(long Seq, FindingCode Code, string Text);

/// <summary>What can be wrong with a journal. The words stand in reports: never change a meaning.</summary>
public enum FindingCode
{
    /// <summary>A number is missing or comes twice.</summary>
    SeqGap = 1,
    /// <summary>The run's row counts more entries than the journal has.</summary>
    TailMissing,
    /// <summary>A kind that this version does not know.</summary>
    KindUnknown,
    BodyInvalid,
    /// <summary>A step, a timer, a child or an approval without a name to find it by.</summary>
    KeyMissing,
    /// <summary>The first entry is no RunCreated, or a later one is.</summary>
    CreatedMisplaced,
    EpochFell,
    /// <summary>The epoch rose without a claim.</summary>
    EpochUnclaimed,
    /// <summary>A claim that did not raise the epoch.</summary>
    EpochReused,
    /// <summary>The entry is not the one whose hash was written.</summary>
    ChainBroken,
    /// <summary>An entry without a hash after one with a hash.</summary>
    ChainMissing,
    CompletedTwice,
    /// <summary>An attempt of a step after its completion.</summary>
    ExecutedAgain,
    AttemptFell,
    /// <summary>A step was resolved that was not of unknown outcome.</summary>
    ResolvedUnasked,
    /// <summary>The same timer, child or approval begins twice.</summary>
    AskedTwice,
    /// <summary>An end without a beginning.</summary>
    AnsweredUnasked,
    AnsweredTwice,
    InputConsumedTwice,
    AfterEnd,
    /// <summary>The run's row says something other than its journal.</summary>
    ProjectionDiffers,
    BlobMissing,
    BlobCorrupt,
}
