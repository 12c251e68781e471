using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

public sealed partial class RunOperations
{
    private const int MaxComment = 2_000;

    // Each run's journal is read for it: a page is a bounded piece of work, and the caller asks for the next.
    private const int RunsPerPage = 50;

    private static readonly RunStatus[] Live = [RunStatus.Ready, RunStatus.Running, RunStatus.Waiting, RunStatus.Paused];

    /// <summary>Open approvals of one run, or <c>null</c> where there is no such run.</summary>
    public async Task<ApprovalPage?> ApprovalsAsync(RunId run, CancellationToken cancellationToken) =>
        await reader.FindAsync(run, cancellationToken) is { } record ? new ApprovalPage(await ApprovalsOfAsync(record, cancellationToken), null) : null;

    /// <summary>Open approvals of all live runs, newest runs first. A page may be empty and still have a next one.</summary>
    public async Task<ApprovalPage> AllApprovalsAsync(RunId? before, CancellationToken cancellationToken)
    {
        var runs = await reader.ListAsync(new RunFilter(Live, null, before, RunsPerPage), cancellationToken);
        var items = new List<ApprovalView>();
        foreach (var run in runs)
            items.AddRange(await ApprovalsOfAsync(run, cancellationToken));
        return new ApprovalPage(items, runs.Count == RunsPerPage ? runs[^1].Id.ToString() : null);
    }

    /// <summary>Says yes or no to an open approval. How many must agree is the engine's to count.</summary>
    /// <param name="key">May be left out where one approval is open.</param>
    public async Task<OperationOutcome> DecideAsync(RunId run, DecisionRequest decision, CancellationToken cancellationToken)
    {
        if (Named(decision.By, out var who) is { } unnamed)
            return unnamed;
        if (who == run.ToString() || who == BudgetNodes.Of(run))
            return Refuse(ErrorCodes.NotAllowed, $"by: a run never decides on its own approvals");
        if (decision.Comment is { Length: > MaxComment })
            return Refuse(ErrorCodes.RequestInvalid, $"comment: found {decision.Comment.Length} characters, allowed are {MaxComment}");
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new OperationOutcome.NotFound();
        if (record.Status.IsFinal())
            return Refuse(ErrorCodes.RunEnded, $"run {run} is {Words.Of(record.Status)}: nothing is left to decide");
        var approvals = (await _journal.OpenWorkAsync(record, cancellationToken)).Approvals;
        var (key, failure) = KeyChoice.Pick(run, "open approval", [.. approvals.Items.Select(a => a.Key)],
            approvals.Decided.ToDictionary(d => d.Key, d => Past(d.Value), StringComparer.Ordinal), decision.Key);
        if (failure is not null)
            return new OperationOutcome.Refused(failure);
        var open = approvals.Items.First(a => a.Key == key);
        if (open.IsExpired(clock.GetUtcNow()))
            return Refuse(ErrorCodes.RunConflict, $"approval {WhyRun.Key(open.Key)} of run {run} expired at {open.Asked.ExpiresAt:u}, which counts as no");
        return await PostAsync(run, InputKind.Approval, null, JournalJson.Write(new InputBody.Approval(open.Key, decision.Approved, who, decision.Comment, open.Asked.Binding)), cancellationToken);
    }

    private async Task<IReadOnlyList<ApprovalView>> ApprovalsOfAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        return run.Status.IsFinal()
            ? []
            : [.. (await _journal.OpenWorkAsync(run, cancellationToken)).Approvals.Items.Select(a => new ApprovalView(
                run.Id.ToString(), run.Agent, a.Key, a.Asked.Question, a.Asked.Binding, a.At, a.Asked.ExpiresAt, a.IsExpired(now), a.Asked.Approvers, a.Yes, a.Seq))];
    }

    private static string Past(EntryBody.ApprovalDecided decided) => decided switch
    {
        { Expired: true } => "it expired",
        { Approved: true } => $"approved by {string.Join(" and ", decided.By)}",
        _ => $"denied by {string.Join(" and ", decided.By)}",
    };
}
