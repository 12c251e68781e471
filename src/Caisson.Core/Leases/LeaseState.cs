namespace Caisson.Core.Leases;

public enum LeaseState
{
    Live = 1,
    /// <summary>Not renewed in time: start nothing and send nothing, but what runs may go on.</summary>
    Suspect = 2,
    /// <summary>Somebody else may own the runs: act for none of them any more.</summary>
    Fenced = 3,
}

/// <summary>
/// The arithmetic of a lease. Pure. Time is this process's own monotonic clock; a renewal counts from before it was
/// sent, so that no other party can think the lease over while we think it holds.
/// </summary>
internal readonly record struct LeaseTimes(TimeSpan RenewedAt, bool Refused)
{
    internal static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);
    internal static readonly TimeSpan TimeToLive = TimeSpan.FromSeconds(4);
    internal static readonly TimeSpan LongestSuspicion = TimeSpan.FromSeconds(60);

    /// <summary>A part of the process that has not shown life for this long makes the whole node sick.</summary>
    internal static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(3);

    internal LeaseState At(TimeSpan now) =>
        Refused || now - RenewedAt >= TimeToLive + LongestSuspicion ? LeaseState.Fenced
        : now - RenewedAt >= TimeToLive ? LeaseState.Suspect
        : LeaseState.Live;
}
