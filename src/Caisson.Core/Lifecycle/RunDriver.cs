using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Drives one claimed run until it ends, halts, or is lost.
/// 1. Load the journal. 2. Take over the inbox. 3. Run the agent, which replays and then goes on. 4. Write down how it
/// came out, in the same transaction as the release. 5. Throw the box away and confirm it.
/// Whatever kills this process in between, the next owner starts at 1 and comes to the same place.
/// </summary>
internal sealed class RunDriver(RunServices services, NodeLease lease, IModels models, IReadOnlyList<ISandboxProvider> sandboxes, IReadOnlyDictionary<string, IAgent> codeAgents, Func<double> dice, ILogger log)
{
    private const int PageSize = 500;
    private const int InboxPage = 100;
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(1);
    private static readonly TimeSpan CancelGrace = TimeSpan.FromSeconds(10);

    private readonly TaskCompletionSource<RunSession?> _session = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>An input arrived for this run: the owner takes it over at once, also in the middle of a step.</summary>
    internal async Task PokeAsync()
    {
        if (await _session.Task is { } session)
            await session.DrainInboxAsync(session.Owned);
    }

    internal async Task DrainAsync()
    {
        if (await _session.Task is { } session)
            await session.RequestStopAsync(new StopRequest(StopKind.Drain, "server", null, null));
    }

    internal async Task DriveAsync(RunRecord claimed, CancellationToken processEnds)
    {
        // 1. Load the journal.
        using var session = await OpenAsync(claimed, processEnds);
        if (session is null)
            return;
        await using var box = new RunBox(session, sandboxes, log);
        try
        {
            // 2. Take over the inbox.
            _session.TrySetResult(session);
            await session.DrainInboxAsync(session.Owned);
            if (session.History.CancelRequested && session.Stop is not { Kind: StopKind.Cancel })
                await session.RequestStopAsync(new StopRequest(StopKind.Cancel, "journal", null, null));
            var released = false;
            await session.WithoutInputsAsync(async () =>
            {
                released = session.State.Status == RunStatus.Paused && session.Stop is not { Kind: StopKind.Cancel };
                if (released)
                    await session.ApplyAsync(new RunCommand.Yield(), s => s, [], [], session.Owned);
            });
            if (released)
                return;

            // 3. and 4.
            using var deadline = Deadline(session);
            var halt = await RunAgentAsync(session, box);
            if (halt is not null)
                await session.WithoutInputsAsync(() => HaltAsync(session, box, halt));
        }
        catch (OperationCanceledException) when (session.Owned.IsCancellationRequested)
        {
            log.LogInformation("run {Run}: epoch {Epoch} is over, another owner goes on", session.Run, session.Epoch);
        }
    }

    /// <summary>A run whose journal cannot be read is paused with the reason, so that nobody claims it over and over.</summary>
    private async Task<RunSession?> OpenAsync(RunRecord claimed, CancellationToken processEnds)
    {
        try
        {
            return new RunSession(claimed, await LoadAsync(claimed.Id, processEnds), lease.Node, lease, services, processEnds);
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DatabaseCorrupt)
        {
            log.LogError("run {Run} is paused: {Problem}", claimed.Id, problem.Message);

            // The inputs are consumed as well, or they would wake the run again at once. Of them only a cancel can be done.
            var inputs = await services.Reader.ReadInboxAsync(claimed.Id, InboxPage, processEnds);
            var cancelled = inputs.Any(i => i.Kind == InputKind.Cancel);
            var entry = cancelled
                ? Draft(EntryKind.RunEnded, new EntryBody.RunEnded(RunStatus.Cancelled, null, null))
                : Draft(EntryKind.Paused, new EntryBody.Paused(PauseCause.Corrupt, problem.Message));
            var row = new RunRow(cancelled ? RunStatus.Cancelled : RunStatus.Paused, WaitReason.None, cancelled ? PauseCause.None : PauseCause.Corrupt, null, Release: true,
                claimed.Summary with { Detail = problem.Message });
            await services.Store.AppendAsync(new ChangeSet(claimed.Id, new Fence(lease.Node, claimed.Epoch), services.Ids.NextRandom(), claimed.LastSeq + 1, services.Clock.GetUtcNow(),
                [entry], row, [], [.. inputs.Select(i => i.Id)]), CancellationToken.None);
            services.Signals.Changed(claimed.Id);
            _session.TrySetResult(null);
            return null;
        }
        catch (OperationCanceledException)
        {
            _session.TrySetResult(null);
            throw;
        }
    }

    private async Task<RunHistory> LoadAsync(RunId run, CancellationToken cancellationToken)
    {
        var history = new RunHistory();
        while (true)
        {
            var page = await services.Reader.ReadJournalAsync(run, history.LastSeq, PageSize, cancellationToken);
            foreach (var entry in await JournalWriter.ResolveAsync(services.Blobs, page, cancellationToken))
                history.Add(entry);
            if (page.Count < PageSize)
                return history;
        }
    }

    /// <summary>Ends the run by its agent's result, or answers why it halts.</summary>
    private async Task<RunHalt?> RunAgentAsync(RunSession session, RunBox box)
    {
        if (session.Stop is { Kind: StopKind.Cancel })
            return new RunHalt.Requested();
        IAgent agent = new LoopAgent();
        if (session.Manifest.Code is { } code && !codeAgents.TryGetValue(code, out agent!))
            return new RunHalt.Failed(new Failure(ErrorCodes.AgentNotFound, $"no agent '{code}' is registered in this server"));

        var context = new RunContext(session, new StepRunner(session, services.Clock, dice), models, box);
        using var grace = CancellationTokenSource.CreateLinkedTokenSource(session.Owned);
        await using var onCancel = session.Interrupted.Register(() => grace.CancelAfter(CancelGrace));
        try
        {
            var result = await agent.RunAsync(context, grace.Token);
            await session.ApplyAsync(new RunCommand.Complete(result), s => s with { Result = Cut(result), Detail = null }, [], [], session.Owned);
            return null;
        }
        catch (RunHaltException halted)
        {
            return halted.Halt;
        }
        catch (OperationCanceledException) when (!session.Owned.IsCancellationRequested && session.Halting.IsCancellationRequested)
        {
            return new RunHalt.Requested();
        }
        catch (CaissonException problem)
        {
            return new RunHalt.Exhausted(problem.ToFailure());
        }
        catch (Exception problem) when (problem is not OperationCanceledException || !session.Owned.IsCancellationRequested)
        {
            // The agent's own code failed, a cancellation that nobody asked for included (a client's time-out comes as
            // one): that is data of the run, not of this process.
            log.LogError(problem, "run {Run}: the agent failed", session.Run);
            return new RunHalt.Failed(new Failure(ErrorCodes.Internal, $"the agent failed: {problem.GetType().Name}: {problem.Message}"));
        }
    }

    private async Task HaltAsync(RunSession session, RunBox box, RunHalt halt)
    {
        switch (halt)
        {
            // A cancel was journaled: whatever else came out at the same moment, the run ends as cancelled.
            case not RunHalt.Requested when session.Stop is { Kind: StopKind.Cancel } cancel:
                await StopAsync(session, box, cancel);
                break;
            case RunHalt.Requested when session.Stop is { } stop:
                await StopAsync(session, box, stop);
                break;
            case RunHalt.AtLimit at when session.CapOf(at.Denial.Dimension) == at.Denial.Cap:
                await LimitAsync(session, at.Denial);
                break;
            case RunHalt.Exhausted exhausted:
                await PauseAsync(session, PauseCause.RetryExhausted, exhausted.Failure.Message, s => s, []);
                break;
            case RunHalt.Failed failed:
                await FailAsync(session, failed.Failure, []);
                break;
            case RunHalt.Drifted drifted:
                await PauseAsync(session, PauseCause.Drift, $"the agent asks for {drifted.Report.Asked} where entry {drifted.Report.Seq} has {drifted.Report.Recorded}", s => s,
                    [Draft(EntryKind.Drift, new EntryBody.Drift(drifted.Report))]);
                break;
            case RunHalt.Looping looping:
                await LoopAsync(session, looping.Verdict);
                break;
            default:
                // The reason went away while the agent unwound (a pause taken back, a limit raised): somebody goes on at once.
                await session.ApplyAsync(new RunCommand.Yield(), s => s, [], [], session.Owned);
                break;
        }
    }

    private async Task StopAsync(RunSession session, RunBox box, StopRequest stop)
    {
        switch (stop.Kind)
        {
            case StopKind.Drain:
                await session.ApplyAsync(new RunCommand.Yield(), s => s, [], [], session.Owned);
                break;
            case StopKind.Pause:
                var detail = $"paused by {stop.By}{(stop.Reason is null ? "" : ": " + stop.Reason)}";
                await session.ApplyAsync(new RunCommand.Pause(PauseCause.Operator, detail), s => s with { Detail = detail }, [], stop.Input is { } input ? [input] : [], session.Owned);
                break;
            case StopKind.Deadline when session.Limits.DeadlineDenial(services.Clock.GetUtcNow()) is { } denial:
                await LimitAsync(session, denial);
                break;
            case StopKind.Cancel:
                // Cancelled means that nothing of the run acts any more: first the box, then the word.
                await box.CloseAsync();
                await session.ApplyAsync(new RunCommand.ConfirmCancel(), s => s with { Detail = stop.Reason }, [], [], session.Owned);
                break;
            default:
                await session.ApplyAsync(new RunCommand.Yield(), s => s, [], [], session.Owned);
                break;
        }
    }

    private static async Task LimitAsync(RunSession session, LimitDenial denial)
    {
        var hit = Draft(EntryKind.LimitHit, new EntryBody.LimitHit(denial.Node, denial.Dimension, denial.Cap, denial.Spent, denial.Held, denial.Wanted));
        if (session.Manifest.Limits.OnLimit == LimitPolicy.Stop)
            await FailAsync(session, new Failure(denial.Dimension == LimitDimension.Deadline ? ErrorCodes.DeadlineExceeded : ErrorCodes.BudgetExceeded, denial.Text()), [hit]);
        else
            await PauseAsync(session, PauseCause.Budget, denial.Text(), s => s with
            {
                LimitAt = denial.Dimension,
                LimitNeeds = denial.Dimension == LimitDimension.Deadline ? null : denial.Spent + denial.Held + denial.Wanted,
            }, [hit]);
    }

    private static async Task LoopAsync(RunSession session, Loops.LoopVerdict verdict)
    {
        var text = verdict.Period == 1
            ? $"'{verdict.Tool}' was called {verdict.Count} times in a row with the same arguments and the same result"
            : $"the same {verdict.Period} calls came {verdict.Count} times in turn with the same results";
        var suspected = Draft(EntryKind.LoopSuspected, new EntryBody.LoopSuspected(verdict.Signal, verdict.Tool, verdict.Count, verdict.Period, Acted: true));
        if (session.Manifest.LoopGuard.OnLoop == LoopPolicy.Stop)
            await FailAsync(session, new Failure(ErrorCodes.LoopDetected, text), [suspected]);
        else
            await PauseAsync(session, PauseCause.Loop, text, s => s, [suspected]);
    }

    private static Task PauseAsync(RunSession session, PauseCause cause, string detail, Func<RunSummary, RunSummary> summary, IReadOnlyList<JournalDraft> before) =>
        session.ApplyAsync(new RunCommand.Pause(cause, detail), s => summary(s) with { Detail = detail }, before, [], session.Owned);

    private static Task FailAsync(RunSession session, Failure failure, IReadOnlyList<JournalDraft> before) =>
        session.ApplyAsync(new RunCommand.Fail(failure), s => s with { Failure = failure, Detail = failure.Message }, before, [], session.Owned);

    /// <summary>
    /// Looks again as often as needed: a timer holds seven weeks at most, and the deadline may be raised meanwhile.
    /// </summary>
    private ITimer? Deadline(RunSession session)
    {
        if (session.Limits.Deadline is null)
            return null;
        ITimer timer = null!;
        timer = services.Clock.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Look();
        return timer;

        void Look()
        {
            var left = session.Limits.Deadline!.Value - services.Clock.GetUtcNow();
            if (left > TimeSpan.Zero)
                timer.Change(left < LongestTimer ? left : LongestTimer, Timeout.InfiniteTimeSpan);
            else
                _ = session.RequestStopAsync(new StopRequest(StopKind.Deadline, "deadline", null, null));
        }
    }

    private static JournalDraft Draft<T>(EntryKind kind, T body) where T : EntryBody => new(kind, JournalJson.Write(body));

    /// <summary>Lists show the beginning; the journal has the whole.</summary>
    private static string Cut(string result) => result.Length <= 64 << 10 ? result : result[..(64 << 10)] + "…";
}
