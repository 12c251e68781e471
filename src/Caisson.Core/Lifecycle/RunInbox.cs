using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Takes over what came from outside, in its order: each input is journaled and consumed in one unit, so that it is
/// taken exactly once, whoever dies. An input that does not fit any more is consumed without effect.
/// </summary>
internal sealed class RunInbox(RunSession session, RunServices services) : IDisposable
{
    private const int PageSize = 100;

    private readonly SemaphoreSlim _one = new(1, 1);

    internal async Task DrainAsync()
    {
        // One at a time: two readers would take the same row over twice. A wait with a token would leave the engine's scheduler.
        await _one.WaitAsync(CancellationToken.None);
        try
        {
            foreach (var input in await services.Reader.ReadInboxAsync(session.Run, PageSize, session.Owned))
                await TakeAsync(input);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>
    /// Decides and writes a halt while no input is taken over: one that comes now stays in the inbox, and the release
    /// finds it there and leaves the run due. Taken over in between, it would be consumed by an owner that no longer acts on it.
    /// </summary>
    internal async Task ClosedAsync(Func<Task> halt)
    {
        await _one.WaitAsync(CancellationToken.None);
        try
        {
            await halt();
        }
        finally
        {
            _one.Release();
        }
    }

    private Task TakeAsync(InboxInput input) => input.Kind switch
    {
        InputKind.Cancel or InputKind.Pause or InputKind.Resume or InputKind.Raise => OperatorAsync(input, JournalJson.Read<InputBody.Operator>(input.Payload)),
        InputKind.Signal => DecideAsync(() => Signal(input, JournalJson.Read<InputBody.Signal>(input.Payload))),
        InputKind.Approval => DecideAsync(() => Approval(input, JournalJson.Read<InputBody.Approval>(input.Payload))),
        InputKind.ChildEnded => DecideAsync(() => Child(input, JournalJson.Read<InputBody.ChildEnd>(input.Payload))),
        InputKind.Resolve => DecideAsync(() => Resolve(input, JournalJson.Read<InputBody.Resolve>(input.Payload))),
        _ => DecideAsync(() => Consume(input)),
    };

    private Task<AppendOutcome> DecideAsync(Func<Unit> decide) => session.WriteAsync(new Unit { Decide = decide }, session.Owned);

    private async Task OperatorAsync(InboxInput input, InputBody.Operator body)
    {
        switch (input.Kind)
        {
            case InputKind.Cancel:
                await session.WriteAsync(new Unit { Transition = s => RunStateMachine.Apply(s, new RunCommand.RequestCancel(body.By, body.Reason)), Consumed = [input.Id] }, session.Owned);
                await session.RequestStopAsync(new StopRequest(StopKind.Cancel, body.By, body.Reason, null));
                break;
            case InputKind.Pause when session.State.Status == RunStatus.Paused || (session.Stop is { Kind: >= StopKind.Pause } stop && stop.Input != input.Id):
                await DecideAsync(() => Consume(input));
                break;
            case InputKind.Pause:
                await session.RequestStopAsync(new StopRequest(StopKind.Pause, body.By, body.Reason, input.Id));
                break;
            case InputKind.Resume:
                List<long> consumed = session.WithdrawPause() is { } pause ? [input.Id, pause] : [input.Id];
                var (raised, caps) = Raise(body);
                await session.WriteAsync(new Unit
                {
                    Entries = raised,
                    Budget = caps,
                    Transition = s => RunStateMachine.Apply(s, new RunCommand.Resume(body.By)),
                    Consumed = consumed,
                    Update = s => s with { Detail = null, LimitAt = null, LimitAbove = null, LimitNeeds = null },
                }, session.Owned);
                break;
            case InputKind.Raise:
                var (entries, changes) = Raise(body);
                await session.WriteAsync(new Unit { Entries = entries, Budget = changes, Consumed = [input.Id], Update = s => IsRoomAgain(s, body.Raise) ? s with { LimitAt = null, LimitAbove = null, LimitNeeds = null } : s }, session.Owned);
                break;
        }
    }

    /// <summary>Whether the limit that the run stands at was raised by enough: a resume then needs to raise nothing.</summary>
    private static bool IsRoomAgain(RunSummary summary, RaisedLimits? raise) =>
        summary is { LimitAt: { } at, LimitAbove: null } && raise?.Cap(at) is { } cap && cap >= (summary.LimitNeeds ?? 0);

    private static (IReadOnlyList<EntryDraft> Entries, IReadOnlyList<BudgetChange> Caps) Raise(InputBody.Operator body)
    {
        if (body.Raise is not { } raise || raise == new RaisedLimits())
            return ([], []);
        return ([new EntryDraft(EntryKind.LimitRaised, new EntryBody.LimitRaised(raise, body.By))], [.. LimitCaps.SetCaps(raise)]);
    }

    private Unit Signal(InboxInput input, InputBody.Signal signal) =>
        Entry(input, new EntryDraft(EntryKind.SignalConsumed, new EntryBody.SignalConsumed(input.InputId, signal.Name, signal.Payload, signal.By)));

    private Unit Approval(InboxInput input, InputBody.Approval answer)
    {
        // A decision fits only what was seen: another question may stand under the same key by now.
        if (session.History.Approvals.GetValueOrDefault(answer.Key) is not { } open || (answer.Binding is { } seen && seen != open.Request.Binding))
            return Consume(input);

        // Nor a yes what a branch beside it has made of the files since: it is asked again, about them as they are now.
        var aboutLimit = answer.Key.StartsWith(Slots.LimitPrefix, StringComparison.Ordinal);
        if (answer.Approved && !aboutLimit && open.Root != session.History.WorkspaceRoot)
        {
            var again = open.Request with { Binding = StepHash.Of("approval again", open.Request.Binding, session.History.WorkspaceRoot ?? "") };
            return new Unit { Entries = [new EntryDraft(EntryKind.ApprovalRequested, again) { Key = answer.Key }], Consumed = [input.Id] };
        }

        // Four eyes are two people: the same one twice is still one.
        var yes = open.Yes.Append(answer.By).Distinct(StringComparer.Ordinal).ToList();
        var partial = answer.Approved && yes.Count < open.Request.Approvers;
        if (partial && open.Yes.Contains(answer.By))
            return Consume(input);
        if (aboutLimit)
            return Limit(input, answer);
        var decided = new EntryBody.ApprovalDecided(answer.Approved, partial || !answer.Approved ? [answer.By] : yes, answer.Comment, Expired: false, partial);
        return Entry(input, new EntryDraft(EntryKind.ApprovalDecided, decided) { Key = answer.Key });
    }

    /// <summary>The answer to a question about a limit: a yes raises it and resumes the run.</summary>
    private Unit Limit(InboxInput input, InputBody.Approval answer)
    {
        var decided = new EntryDraft(EntryKind.ApprovalDecided, new EntryBody.ApprovalDecided(answer.Approved, [answer.By], answer.Comment, Expired: false)) { Key = answer.Key };
        if (!answer.Approved || session.History.LimitAsked is not { } hit)
            return new Unit { Entries = [decided], Consumed = [input.Id] };
        var denial = hit.ToDenial();
        var raise = LimitQuestion.OnYes(denial, session.Manifest.Limits, services.Clock.GetUtcNow() - session.History.CreatedAt);
        var (raised, caps) = Raise(new InputBody.Operator(answer.By, null, raise));
        return new Unit
        {
            Entries = [decided, .. raised],
            Budget = caps,
            Transition = s => s is { Status: RunStatus.Paused, Paused: PauseCause.Budget } ? RunStateMachine.Apply(s, new RunCommand.Resume(answer.By)) : null,
            Consumed = [input.Id],
            Update = s => StaysPaused(PauseCause.Budget) ? s : s with { Detail = null, LimitAt = null, LimitAbove = null, LimitNeeds = null },
        };
    }

    private Unit Child(InboxInput input, InputBody.ChildEnd end)
    {
        var (key, child) = session.History.Children.FirstOrDefault(c => c.Value.Spawned.Child == end.Child);
        return key is null || child.Ended
            ? Consume(input)
            : Entry(input, new EntryDraft(EntryKind.ChildEnded, new EntryBody.ChildEnded(end.Child, end.Status, end.Result, end.Failure)) { Key = key });
    }

    /// <summary>A person's word about a step of unknown outcome also ends the pause that asked for it.</summary>
    private Unit Resolve(InboxInput input, InputBody.Resolve resolve)
    {
        if (session.History.StartOf(resolve.Key) is not { Unknown: true } open)
            return Consume(input);
        var (how, failure) = resolve.How switch
        {
            "done" => (StepResolutions.Set, null),
            "not_done" => (StepResolutions.NotDone, null),
            _ => (StepResolutions.Skipped, new Failure(ErrorCodes.StepUnknown, $"step '{open.Step.Name}': its outcome is unknown; {resolve.By} skipped it")),
        };
        return new Unit
        {
            Entries = [new EntryDraft(EntryKind.StepResolved, new EntryBody.StepResolved(open.Step, how, resolve.By, failure))
            {
                Key = resolve.Key,
                Attempt = open.Attempt,
                Payload = resolve.Result is { } result ? System.Text.Encoding.UTF8.GetBytes(result) : null,
            }],
            Transition = s => s is { Status: RunStatus.Paused, Paused: PauseCause.Unknown } ? RunStateMachine.Apply(s, new RunCommand.Resume(resolve.By)) : null,
            Consumed = [input.Id],
            Update = s => StaysPaused(PauseCause.Unknown) ? s : s with { Detail = null },
        };
    }

    /// <summary>What it says about why it is paused must stay too.</summary>
    /// <param name="ended">The cause that the input ends.</param>
    private bool StaysPaused(PauseCause ended) => session.State.Status == RunStatus.Paused && session.State.Paused != ended;

    private Unit Entry(InboxInput input, EntryDraft entry) =>
        new() { Entries = [entry], Transition = RunSession.Proceed, Consumed = [input.Id], Update = s => StaysPaused(PauseCause.None) ? s : s with { Detail = null } };

    private static Unit Consume(InboxInput input) => new() { Consumed = [input.Id] };

    public void Dispose() => _one.Dispose();
}
