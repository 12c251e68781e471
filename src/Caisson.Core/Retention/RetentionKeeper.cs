using System.Globalization;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Retention;

/// <param name="Runs">Ended runs that were deleted.</param>
public sealed record RetentionReport(long Runs, SweepReport Blobs);

/// <summary>
/// Deletes what is old and nobody needs: first ended runs, then the blobs that only they referred to. Both are safe to
/// stop anywhere: a run goes in one transaction, and blobs go in two phases. Nothing waits for it, so a round that
/// fails is told in the log and tried again at its next time.
/// </summary>
public sealed class RetentionKeeper
{
    private const int Batch = 100;

    private readonly RetentionOptions _options;
    private readonly IRetentionStore _store;
    private readonly IBlobSweeper _sweeper;
    private readonly IWorkspaceTrees _trees;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;

    public RetentionKeeper(RetentionOptions options, IRetentionStore store, IBlobSweeper sweeper, IWorkspaceTrees trees, TimeProvider clock, ILogger log) =>
        (_options, _store, _sweeper, _trees, _clock, _log) = (options, store, sweeper, trees, clock, log);

    /// <summary>Until it is cancelled; the first round comes after one interval, when recovery is over.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (_options.SweepEvery is not { } every)
            return;
        using var timer = new PeriodicTimer(every, _clock);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
                await TryOnceAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    public async Task<RetentionReport> RunOnceAsync(CancellationToken cancellationToken)
    {
        var runs = _options.KeepEnded is { } keep ? await DeleteEndedAsync(_clock.GetUtcNow() - keep, cancellationToken) : 0;
        var blobs = await _sweeper.SweepAsync(_store.ReadReferencesAsync(cancellationToken), _trees, cancellationToken);
        return new RetentionReport(runs, blobs);
    }

    private async Task TryOnceAsync(CancellationToken cancellationToken)
    {
        try
        {
            var (runs, blobs) = await RunOnceAsync(cancellationToken);
            _log.LogInformation("retention: {Runs} ended runs and {Blobs} blobs ({Bytes}) removed, {SetAside} blobs set aside",
                runs, blobs.Removed, Sizes.Text(blobs.RemovedBytes), blobs.SetAside);
            if (blobs.Unreadable is [var first, ..])
                _log.LogError("{Count} saved workspaces cannot be read, so no blob was removed: the first is {Address}; restore it from a backup, or end and delete its run",
                    blobs.Unreadable.Count.ToString(CultureInfo.InvariantCulture), first);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Nobody waits for a round, so none of its failures ends anything.
            _log.LogError("retention: the round failed and is tried again: {Problem}", e.Message);
        }
    }

    /// <summary>In small units, so that no batch of the writer waits long for one of them.</summary>
    private async Task<long> DeleteEndedAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        var deleted = 0L;
        while (true)
        {
            var found = await _store.FindEndedAsync(before, Batch, cancellationToken);
            var gone = 0;
            foreach (var run in found)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (await _store.DeleteRunAsync(run, cancellationToken))
                    gone++;
            }

            deleted += gone;

            // A batch of which the store keeps every run (an ended child is kept for its parent) would come again for ever.
            if (gone == 0 || found.Count < Batch)
                return deleted;
        }
    }
}
