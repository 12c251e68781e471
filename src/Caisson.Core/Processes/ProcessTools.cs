using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Sandboxes;
using Caisson.Core.Turns;

namespace Caisson.Core.Processes;

/// <summary>
/// Steps that this process executes for a program, beside its model calls.
/// <para>
/// Problem: the program may die while its step is under way or waits for a person, and begin again. States of a step:
/// waits for a yes → under way → recorded. Invariants: a step waits for its yes without having begun, so whoever dies
/// then leaves nothing in doubt, and the decision is found in the journal; one that is under way is joined by whoever
/// asks for it again, and is never begun twice by one owner; it ends in the journal before anybody is answered. When
/// this process dies, a step that must not be repeated is found begun by the next owner, whose policy for unknown
/// outcomes decides; any other is begun again.
/// </para>
/// </summary>
internal sealed class ProcessTools(RunSession session, RunServices services, StepRunner runner, ProcessRecords records, RunBox boxes, Action<RunHalt> halt) : IProcessTools
{
    private const int MostShown = 300;
    private const int MostAsked = 4_000;

    /// <summary>Version of the rules by which an approval counts.</summary>
    private const string ApprovalPolicy = "process-1";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Task> _underWay = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _asked = new(StringComparer.Ordinal);

    public async Task<StepRecord> RunAsync(ProcessStep step, int nth, Func<StepContext, Task<JsonElement>> body, CancellationToken patience)
    {
        ArgumentNullException.ThrowIfNull(step);
        var subject = new StepSubject(step.Kind, step.Name, step.Identity, null, Cut(step.Arguments, MostShown));
        var call = new StepCall(new StepKey(StepHash.Of("process step", "", step.Identity, nth.ToString(CultureInfo.InvariantCulture))), subject, "");
        if (records.Find(call.Key) is { } recorded)
            return recorded;
        var options = new StepOptions<JsonElement> { Effect = step.Effect, OnUnknown = step.OnUnknown };
        if (step.Question is { } question && await DecidedAsync(call.Key, question, step.Arguments ?? "", patience) is { Approved: false } no)
        {
            (options, body) = (new StepOptions<JsonElement>(), _ => throw new StepFailedException(new Failure(ErrorCodes.ApprovalDenied, Denial(step, no))));
        }

        Task? execution;
        lock (_lock)
        {
            if (!_underWay.TryGetValue(call.Key.Hash, out execution) && records.Find(call.Key) is null)
                _underWay[call.Key.Hash] = execution = services.Tasks.Run(() => ExecuteAsync(call, new NamedStep<JsonElement>(step.Name, body, options)));
        }

        if (execution is not null)
            await execution.WaitAsync(patience);
        if (records.Find(call.Key) is { } ended)
            return ended;
        await Task.Delay(Timeout.InfiniteTimeSpan, services.Clock, patience);
        throw new InvalidOperationException("unreachable");
    }

    public Task<SandboxCreateOutcome> OpenBoxAsync(Func<bool> isAtWork, CancellationToken cancellationToken) =>
        boxes.OpenBesideAsync(EgressLog(isAtWork), session.History.Created!.Workspace, cancellationToken);

    public Task CloseBoxAsync(ISandbox box) => boxes.CloseBesideAsync(box);

    public IEgressLog EgressLog(Func<bool> isAtWork) => new BesideEgress(session, isAtWork);

    /// <summary>Completes when nothing is under way.</summary>
    internal async Task SettledAsync()
    {
        while (true)
        {
            Task[] open;
            lock (_lock)
                open = [.. _underWay.Values];
            if (open.Length == 0)
                return;
            await Task.WhenAll(open);
        }
    }

    /// <summary>Shows the run as waiting again, where a step beside the one that waits for a person has ended.</summary>
    internal Task ShowAsync()
    {
        string? question;
        lock (_lock)
            question = _asked.Values.FirstOrDefault();
        return question is null || session.State.Status != RunStatus.Running ? Task.CompletedTask : session.JournalAsync([], Waits(question));
    }

    private async Task ExecuteAsync(StepCall call, NamedStep<JsonElement> step)
    {
        try
        {
            await runner.ExecuteAsync(call, step);
        }
        catch (RunHaltException halted)
        {
            halt(halted.Halt);
        }
        catch (OperationCanceledException)
        {
            // The ownership is over, or the run halts between two attempts: nobody is answered any more.
        }
        finally
        {
            lock (_lock)
                _underWay.Remove(call.Key.Hash);
        }
    }

    private async Task<EntryBody.ApprovalDecided> DecidedAsync(StepKey step, string question, string arguments, CancellationToken patience)
    {
        var key = StepHash.Of("approval", "", step.Hash);
        var decided = records.DecisionAsync(key);
        if (decided.IsCompleted)
            return await decided;
        lock (_lock)
            _asked[key] = question;
        try
        {
            await session.WriteAsync(new Unit { Decide = () => Ask(key, question, arguments) }, session.Owned);
            return await decided.WaitAsync(patience);
        }
        finally
        {
            lock (_lock)
                _asked.Remove(key);
        }
    }

    /// <summary>What is approved is this step, with these arguments, by this agent, under this policy: a decision fits nothing else.</summary>
    private Unit Ask(string key, string question, string arguments)
    {
        var binding = StepHash.Of("approval", key, arguments, session.History.Created!.ManifestHash, ApprovalPolicy);
        var text = $"{question}\n{Cut(arguments, MostAsked)}";
        var waits = Waits(question);
        return new Unit
        {
            Entries = session.History.Approvals.ContainsKey(key) ? [] : [new EntryDraft(EntryKind.ApprovalRequested, new EntryBody.ApprovalRequested(text, binding, null, 1)) { Key = key }],
            Transition = s => RunStateMachine.Apply(s, new RunCommand.Wait(waits.Reason, waits.DueAt)),
            Update = s => s with { Detail = waits.Text },
        };
    }

    private static Waiting Waits(string question) => new(WaitReason.Approval, null, $"approval of '{question}'");

    private static string Denial(ProcessStep step, EntryBody.ApprovalDecided no) =>
        $"{string.Join(" and ", no.By)} said no to '{step.Name}'{(no.Comment is { Length: > 0 } comment ? $": {comment}" : "")}; it was not executed";

    private static string Cut(string? text, int most) => text is null ? "" : text.Length <= most ? text : text[..most] + "…";

    /// <summary>A step's effect class is declared and its start is journaled by it: what leaves meanwhile is the step's.</summary>
    private sealed class BesideEgress(RunSession session, Func<bool> isAtWork) : IEgressLog
    {
        public bool MaySend => session.Egress.MaySend;

        public void Decided(EgressDecision decision) => session.Egress.Decided(decision);

        public void Moved(string host, int port, long sent, long received) => session.Egress.Moved(host, port, sent, received);

        public ValueTask<bool> IntentAsync(EgressIntent intent, CancellationToken cancellationToken) =>
            new(isAtWork() && MaySend && session.History.Fork is null or { Effects: ForkEffects.Live });
    }
}
