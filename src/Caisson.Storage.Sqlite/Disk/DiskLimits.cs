namespace Caisson.Storage.Sqlite.Disk;

internal enum BallastMove
{
    None = 0,
    Create = 1,
    Release = 2,
}

/// <summary>The arithmetic of <see cref="DiskGuard"/>. Pure.</summary>
internal static class DiskLimits
{
    private const long LeastFree = 2L << 30;
    private const long LeastShare = 20;

    internal static long Default(long diskSize) => Math.Max(LeastFree, diskSize / LeastShare);

    /// <param name="free">What any process may use now; an existing ballast is not in it.</param>
    internal static (DiskState State, BallastMove Ballast) Next(DiskState state, long free, long limit, bool ballastIsThere, long ballast)
    {
        // The space that a missing ballast will take is not free.
        var usable = free - (ballastIsThere ? 0 : ballast);
        if (state == DiskState.Ok ? usable >= limit : usable >= limit + limit / 4)
            return (DiskState.Ok, ballastIsThere || ballast == 0 ? BallastMove.None : BallastMove.Create);
        return (state == DiskState.Ok && free >= limit ? DiskState.Ok : DiskState.Low, ballastIsThere && free < limit / 4 ? BallastMove.Release : BallastMove.None);
    }
}
