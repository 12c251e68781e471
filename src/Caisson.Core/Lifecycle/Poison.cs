
namespace Caisson.Core.Lifecycle;

/// <summary>
/// Runs that take the server with them.
/// <para>
/// Problem: one run crashes the process, all are claimed again, it crashes again, for ever; and the crash does not say
/// who did it. Everybody who was at work when a process died is under suspicion until a step of his completes. After
/// the second crash in a row only suspects are claimed, half as many at a time with each further crash, until the one
/// who does it is alone. Three crashes alone pause it; then the others go on. The store counts, because memory dies.
/// </para>
/// </summary>
internal static class Poison
{
    internal const int LoneCrashesToPause = 3;
    private const int CrashesToIsolate = 2;

    /// <summary>Which runs may be claimed now. Pure.</summary>
    /// <param name="claimable">Some of those that could be: a page, in which suspects may be missing.</param>
    /// <param name="suspects">All runs under suspicion that are ready or running.</param>
    /// <param name="isDriven">Whether a run is at work on this node.</param>
    internal static IReadOnlyList<Contracts.RunId> Admit(IReadOnlyList<Contracts.RunId> claimable, IReadOnlyList<(Contracts.RunId Run, int Suspicion)> suspects, Func<Contracts.RunId, bool> isDriven)
    {
        var worst = suspects.Count == 0 ? 0 : suspects.Max(s => s.Suspicion);
        if (worst < CrashesToIsolate)
            return [.. claimable.Where(run => !isDriven(run))];

        // Halved with each crash after the first; whoever is suspected longest comes first, so the group narrows on him.
        var group = Math.Max(1, suspects.Count(s => s.Suspicion == worst) >> (worst - 1));
        return [.. suspects.Where(s => s.Suspicion == worst).Select(s => s.Run).Order().Take(group).Where(run => !isDriven(run))];
    }
}
