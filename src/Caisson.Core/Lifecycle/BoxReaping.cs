using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Removes what boxes left behind, and knows whose it is.
/// <para>
/// Problem: a cancelled run is said to be over when nothing of it acts any more, but its box may have been a dead
/// server's, or would not go. Such a run ends unconfirmed, and that is closed when a later round, in this process or the
/// next one, finds nothing of it any more. A round that could not look at everything, or found things whose run nobody
/// can tell, confirms nothing.
/// </para>
/// </summary>
internal sealed class BoxReaping(IReadOnlyList<ISandboxProvider> providers, IUnconfirmedEnds? ends, RunSignals signals, ILogger log)
{
    private const int Page = 1_000;
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(30);

    private volatile HashSet<RunId> _left = [];

    /// <summary>Whether the last round found something of this run that would not go.</summary>
    internal bool IsLeft(RunId run) => _left.Contains(run);

    /// <summary>Before anything is claimed: what the server before this one left must not act beside what begins now.</summary>
    internal async Task FirstAsync(CancellationToken cancellationToken)
    {
        List<SandboxResidue> left = [];
        foreach (var provider in providers)
            left.AddRange(await ReapAsync(provider, cancellationToken));
        await ConcludeAsync(left, cancellationToken);
    }

    internal async Task RunAsync(TimeProvider clock, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Every, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
                await RoundAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Draining.
        }
    }

    private async Task RoundAsync(CancellationToken cancellationToken)
    {
        List<SandboxResidue> left = [];
        foreach (var provider in providers)
        {
            try
            {
                left.AddRange(await ReapAsync(provider, cancellationToken));
            }
            catch (Exception problem) when (problem is CaissonException or IOException or UnauthorizedAccessException)
            {
                // What was looked at may have gone meanwhile: the next round looks again.
                log.LogWarning("{Provider}: looking for residue failed: {Problem}", provider.Name, problem.Message);
                return;
            }
        }

        await ConcludeAsync(left, cancellationToken);
    }

    private async Task<IReadOnlyList<SandboxResidue>> ReapAsync(ISandboxProvider provider, CancellationToken cancellationToken)
    {
        var residue = await provider.ListResidueAsync(cancellationToken);
        if (residue.Count == 0)
            return [];
        var left = await provider.ReapAsync(residue, cancellationToken);
        log.LogInformation("{Provider}: {Count} things of earlier boxes found, {Left} could not be removed", provider.Name, residue.Count, left.Count);
        return left;
    }

    private async Task ConcludeAsync(List<SandboxResidue> left, CancellationToken cancellationToken)
    {
        _left = [.. left.Select(r => r.Run).OfType<RunId>()];
        if (ends is null || left.Any(r => r.Run is null))
            return;
        foreach (var run in await ends.FindUnconfirmedAsync(Page, cancellationToken))
        {
            if (!IsLeft(run) && await ends.ConfirmEndAsync(run, cancellationToken))
                signals.Changed(run);
        }
    }
}
