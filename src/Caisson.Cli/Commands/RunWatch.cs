using Caisson.Client;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary>Waits for a run, over restarts of the server, and tells how it came to rest.</summary>
internal sealed class RunWatch(CommandContext context)
{
    private static readonly TimeSpan TakenWithin = TimeSpan.FromSeconds(20);

    private readonly CaissonClient _client = context.Client;

    /// <summary>Until the run has ended or stands paused.</summary>
    /// <param name="seen">Called with each entry after <paramref name="after"/>; <c>null</c> where only the end counts.</param>
    /// <param name="timeout">Ends the command with <see cref="ExitCodes.TimedOut"/>; the run goes on.</param>
    internal async Task<RunView> UntilAtRestAsync(string run, long after, Action<JournalEntryView>? seen, TimeSpan? timeout)
    {
        context.OnInterrupt = $"stopped waiting; run {run} goes on: 'caisson wait {run}' waits again, 'caisson cancel {run}' ends it";
        using var limit = timeout is { } time ? new CancellationTokenSource(time, context.Shell.Clock) : new CancellationTokenSource();
        using var both = CancellationTokenSource.CreateLinkedTokenSource(context.Interrupted, limit.Token);
        try
        {
            return await WatchAsync(run, after, seen, both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !context.Interrupted.IsCancellationRequested)
        {
            throw new CommandFailure(ExitCodes.TimedOut, ErrorCodes.WaitTimedOut, $"run {run} is not done after {timeout:c}; it goes on: 'caisson wait {run}' waits again");
        }
    }

    /// <summary>Until the owner has taken up what was asked: one of these kinds stands in the journal after <paramref name="before"/>.</summary>
    internal async Task<RunView> UntilTakenAsync(RunView before, params string[] kinds)
    {
        context.OnInterrupt = $"stopped waiting; what was asked of run {before.Id} is recorded and will happen";
        using var limit = new CancellationTokenSource(TakenWithin, context.Shell.Clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(context.Interrupted, limit.Token);
        try
        {
            await foreach (var entry in _client.FollowAsync(before.Id, Options(before.LastSeq), both.Token))
            {
                if (kinds.Contains(entry.Kind))
                    break;
            }

            return await GetAsync(before.Id, both.Token);
        }
        catch (OperationCanceledException) when (!context.Interrupted.IsCancellationRequested)
        {
            throw new CommandFailure(ExitCodes.TimedOut, ErrorCodes.WaitTimedOut, $"run {before.Id} has not taken it up after {TakenWithin.TotalSeconds} s; it is recorded and will happen: 'caisson get {before.Id}' shows it");
        }
    }

    internal FollowOptions Options(long after) => new()
    {
        After = after,
        Lost = reason => context.Progress($"caisson: lost the server ({PlainText.Line(reason, 120)}); waiting for it"),
        Back = () => context.Progress("caisson: the server is back"),
    };

    private async Task<RunView> WatchAsync(string id, long after, Action<JournalEntryView>? seen, CancellationToken cancellationToken)
    {
        var run = await GetAsync(id, cancellationToken);
        if (seen is null)
            after = run.LastSeq;
        if (IsAtRest(run))
        {
            if (seen is not null)
            {
                await foreach (var entry in _client.ReadJournalAsync(run.Id, after, payloads: false, cancellationToken))
                    seen(entry);
            }

            return run;
        }

        await foreach (var entry in _client.FollowAsync(run.Id, Options(after), cancellationToken))
        {
            seen?.Invoke(entry);
            // A pause in the journal may be one that somebody has lifted since: the run itself knows.
            if (entry.Kind == "paused" && IsAtRest(run = await GetAsync(run.Id, cancellationToken)) && run.LastSeq <= entry.Seq)
                return run;
        }

        return await GetAsync(run.Id, cancellationToken);
    }

    private Task<RunView> GetAsync(string id, CancellationToken cancellationToken) =>
        _client.RetryAsync(token => _client.GetRunAsync(id, token), CaissonClient.DefaultPatience, cancellationToken);

    private static bool IsAtRest(RunView run) => run.Status.IsFinal() || run.Status == RunStatus.Paused;
}
