using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

/// <summary>Turns an agent's calls into operations of its turn, each with an identity that is the same in every attempt.</summary>
internal sealed class RunContext : IRunContext
{
    /// <summary>Version of the rules by which an approval counts.</summary>
    private const string ApprovalPolicy = "1";

    private readonly Turn _turn;
    private readonly StepRunner _steps;
    private readonly string _scope;
    private Random? _random;
    private int _randomSince;

    internal RunContext(Turn turn, RunSession session, StepRunner steps, Spawner spawner, IModels models, RunBox? box, string scope = "")
    {
        (_turn, Session, _steps, Spawner, Models, Box, _scope) = (turn, session, steps, spawner, models, box, scope);
    }

    public RunId Run => Session.Run;

    public AgentManifest Manifest => Session.Manifest;

    public string Input => Session.History.Created!.Input;

    public DateTimeOffset Now => _turn.Now;

    public ReadOnlyMemory<byte>? Saved => Session.History.Saved;

    internal IModels Models { get; }

    internal Spawner Spawner { get; }

    internal RunBox? Box { get; }

    internal RunSession Session { get; }

    /// <summary>Whether recorded answers wait to be given: the code has not reached new ground yet.</summary>
    internal bool Replaying => _turn.Replaying;

    private Occurrences Occurrences => _turn.Occurrences;

    /// <summary>Seeded anew at each snapshot: what was drawn before it, a replay that begins there does not draw.</summary>
    public Random Random
    {
        get
        {
            var snapshots = Occurrences.Total("snapshot");
            if (_random is null || _randomSince != snapshots)
                (_random, _randomSince) = (new Random(BinaryPrimitives.ReadInt32LittleEndian(Seed("random", snapshots == 0 ? "" : snapshots.ToString(CultureInfo.InvariantCulture)))), snapshots);
            return _random;
        }
    }

    public Guid NewGuid()
    {
        var bytes = Seed("guid", Occurrences.Count("guid", _scope, "").ToString(CultureInfo.InvariantCulture)).AsSpan(0, 16);
        bytes[6] = (byte)(0x40 | (bytes[6] & 0x0f));
        bytes[8] = (byte)(0x80 | (bytes[8] & 0x3f));
        return new Guid(bytes, bigEndian: true);
    }

    private byte[] Seed(string what, string nth) => Convert.FromHexString(StepHash.Of(what, Session.History.SeedOf(Run, _turn.Answered), _scope, nth));

    public Task<T> StepAsync<T>(string name, Func<StepContext, Task<T>> body, StepOptions<T>? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        options ??= new StepOptions<T>();
        var arguments = options.Arguments is null ? "" : StepHash.Of(options.Arguments);
        var key = options.Key is { } own ? OwnKey(own) : Occurrences.Next("named", _scope, arguments.Length == 0 ? name : name + "\0" + arguments);
        var call = new StepCall(key, new StepSubject(StepKind.Named, name, arguments, null, options.Arguments is { Length: > 300 } text ? text[..300] + "…" : options.Arguments), _scope);
        return StepAsync(call, StepJson.Read<T>, () => _steps.ExecuteAsync(call, new NamedStep<T>(name, body, options)));
    }

    private StepKey OwnKey(string own) => Occurrences.Count("key", _scope, own) == 0
        ? new StepKey(StepHash.Of("key", _scope, own))
        : throw new InvalidOperationException($"the step key '{own}' was used before in this scope: give each step a key of its own, or none");

    /// <summary>A step whose answer is its recorded completion.</summary>
    internal Task<T> StepAsync<T>(StepCall call, Func<StepRecord, T> read, Func<Task> execute)
    {
        var answer = new TaskCompletionSource<T>();
        _turn.Ask(new Operation(Slots.Step(call.Key.Hash), arrival =>
        {
            var (record, drift) = StepJson.Match(arrival, call);
            if (drift is not null)
                return drift;
            Give(answer, record!, read);
            return null;
        })
        { Execute = execute, Step = call.Subject });
        return answer.Task;
    }

    private static void Give<T>(TaskCompletionSource<T> answer, StepRecord record, Func<StepRecord, T> read)
    {
        try
        {
            answer.SetResult(read(record));
        }
        catch (Exception problem) when (problem is StepFailedException or JsonException or NotSupportedException or CaissonException)
        {
            answer.SetException(problem is JsonException
                ? new StepFailedException(new Failure(ErrorCodes.StepFailed, $"the recorded result of step '{record.Subject.Name}' does not fit the type that is asked for: {problem.Message}"))
                : problem);
        }
    }

    public Task SleepUntilAsync(DateTimeOffset until)
    {
        var key = Occurrences.Next("timer", _scope, "").Hash;
        var answer = new TaskCompletionSource();
        _turn.Ask(new Operation(Slots.Timer(key), _ =>
        {
            answer.SetResult();
            return null;
        })
        {
            Waits = WaitReason.Timer,
            Text = $"sleep until {until:O}",
            Intent = () => SetTimer(key, "sleep", until),
            AtDue = () => new EntryDraft(EntryKind.TimerFired, new EntryBody.TimerFired()) { Scope = _scope, Key = key },
        });
        return answer.Task;
    }

    /// <summary>The recorded time counts, also where the code would compute another one now.</summary>
    private Intent SetTimer(string key, string name, DateTimeOffset due) => Session.History.TimerOf(key) is { } set
        ? new Intent([], set)
        : new Intent([new EntryDraft(EntryKind.TimerSet, new EntryBody.TimerSet(name, due)) { Scope = _scope, Key = key }], due);

    public Task<Signal?> WaitForSignalAsync(string name, TimeSpan? timeout = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var key = Occurrences.Next("signal", _scope, name).Hash;
        var due = _turn.Now + timeout;
        var answer = new TaskCompletionSource<Signal?>();
        _turn.Ask(new Operation(Slots.Signal(name), arrival =>
        {
            answer.SetResult(arrival.Body is EntryBody.SignalConsumed signal ? new Signal(signal.Name, signal.Payload, signal.By) : null);
            return null;
        })
        {
            Waits = WaitReason.Signal,
            Text = $"signal '{name}'",
            TimeoutSlot = timeout is null ? null : Slots.Timer(key),
            Intent = due is { } until ? () => SetTimer(key, "signal " + name, until) : null,
            AtDue = timeout is null ? null : () => new EntryDraft(EntryKind.TimerFired, new EntryBody.TimerFired()) { Scope = _scope, Key = key },
        });
        return answer.Task;
    }

    public Task<ApprovalDecision> ApproveAsync(string question, ApprovalOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(question);
        options ??= new ApprovalOptions();
        var key = Occurrences.Next("approval", _scope, question).Hash;
        var expires = _turn.Now + options.Timeout;
        var text = options.Arguments is null ? question : $"{question}\n{options.Arguments}";
        var answer = new TaskCompletionSource<ApprovalDecision>();
        _turn.Ask(new Operation(Slots.Approval(key), arrival =>
        {
            // A decision is for what its person saw: code that comes with other arguments took another way.
            if (Session.History.QuestionOf(key) is { } shown && shown != text)
                return new DriftReport(arrival.Seq, $"approval of '{shown}'", $"approval of '{text}'");
            var decided = (EntryBody.ApprovalDecided)arrival.Body;
            answer.SetResult(new ApprovalDecision(decided.Approved, decided.By, decided.Comment, decided.Expired));
            return null;
        })
        {
            Waits = WaitReason.Approval,
            Text = $"approval of '{question}'",
            Intent = () => Request(key, text, options, expires),
            AtDue = expires is null ? null : () => !Session.History.Approvals.ContainsKey(key) ? null : new EntryDraft(EntryKind.ApprovalDecided, new EntryBody.ApprovalDecided(false, [], null, Expired: true)) { Scope = _scope, Key = key },
        });
        return answer.Task;
    }

    private Intent Request(string key, string text, ApprovalOptions options, DateTimeOffset? expires)
    {
        if (Session.History.Approvals.GetValueOrDefault(key) is { } open)
            return new Intent([], open.Request.ExpiresAt);

        // What is approved is this step, with these arguments, on these files, by this agent, under this policy: a decision
        // fits nothing else.
        var approvers = options.FourEyes ? 2 : 1;
        var binding = StepHash.Of("approval", key, options.Arguments ?? "", Session.Summary.WorkspaceRoot ?? "", Session.History.Created!.ManifestHash,
            ApprovalPolicy, approvers.ToString(CultureInfo.InvariantCulture));
        return new Intent([new EntryDraft(EntryKind.ApprovalRequested, new EntryBody.ApprovalRequested(text, binding, expires, approvers)) { Scope = _scope, Key = key }], expires);
    }

    public Task<ChildRun> SpawnAsync(ChildSpec child)
    {
        ArgumentNullException.ThrowIfNull(child);
        var key = Occurrences.Next("child", _scope, child.Agent);
        var answer = new TaskCompletionSource<ChildRun>();
        _turn.Ask(new Operation(Slots.Step(key.Hash), arrival =>
        {
            if (arrival.Body is EntryBody.ChildSpawned spawned)
                answer.SetResult(new ChildRun(RunId.Parse(spawned.Child), EndOf(key.Hash, spawned)));
            else if (arrival.Body is EntryBody.StepCompleted { Failure: { } refusal })
                answer.SetException(new StepFailedException(refusal));
            else
                return new DriftReport(arrival.Seq, Words.Of(arrival.Kind), $"child {child.Agent}");
            return null;
        })
        { Text = $"child {child.Agent}", Execute = () => Spawner.SpawnAsync(Session, key, _scope, child) });
        return answer.Task;
    }

    private Task<ChildOutcome> EndOf(string key, EntryBody.ChildSpawned spawned)
    {
        var answer = new TaskCompletionSource<ChildOutcome>();
        _turn.Ask(new Operation(Slots.ChildEnd(key), arrival =>
        {
            var ended = (EntryBody.ChildEnded)arrival.Body;
            answer.SetResult(new ChildOutcome(ended.Status, ended.Result, ended.Failure));
            return null;
        })
        { Waits = WaitReason.Child, Text = $"child {spawned.Agent} ({spawned.Child})" });
        return answer.Task;
    }

    public Task<T> BranchAsync<T>(Func<IRunContext, Task<T>> branch)
    {
        var nth = Occurrences.Count("branch", _scope, "");
        return branch(new RunContext(_turn, Session, _steps, Spawner, Models, Box, string.Create(CultureInfo.InvariantCulture, $"{_scope}/{nth}")));
    }

    public Task SnapshotAsync(ReadOnlyMemory<byte> state)
    {
        if (!_turn.NothingOpen)
            throw new InvalidOperationException("a snapshot was asked for while something else is under way: await it first");
        var key = Occurrences.Next("snapshot", _scope, "");
        var body = new EntryBody.Snapshot(Occurrences.Save(), _turn.UntakenSignals) { Seen = _turn.Answered };
        var answer = new TaskCompletionSource();
        _turn.Ask(new Operation(Slots.Step(key.Hash), _ =>
        {
            answer.SetResult();
            return null;
        })
        { Text = "snapshot", Execute = () => Session.JournalAsync([new EntryDraft(EntryKind.Snapshot, body) { Scope = _scope, Key = key.Hash, Payload = state }], null) });
        return answer.Task;
    }

    /// <summary>The key that the next model call of this identity bears; taken at the call.</summary>
    internal Task<Limited<ModelReply>> ModelAsync(ModelRequest request)
    {
        var key = Occurrences.Next("model", _scope, request.Identity);
        var answer = new TaskCompletionSource<Limited<ModelReply>>();
        _turn.Ask(new Operation(Slots.Step(key.Hash), arrival => Denied(arrival, answer) ? null : ModelSteps.Answer(Models, request, arrival, key, answer))
        {
            Text = $"model {request.Model}",
            Execute = () => ToldAsync(key, () => ModelSteps.ExecuteAsync(Models, request, new StepLog(Session, key, _scope, null))),
        });
        return answer.Task;
    }

    /// <summary>The last call of a run at a limit. Where that is denied as well, the run halts.</summary>
    internal async Task<ModelAnswer> LastAsync(ModelRequest request, LimitDenial denial)
    {
        var key = Occurrences.Next("model", _scope, request.Identity);
        var answer = new TaskCompletionSource<Limited<ModelReply>>();
        _turn.Ask(new Operation(Slots.Step(key.Hash), arrival => ModelSteps.Answer(Models, request, arrival, key, answer))
        {
            Text = $"model {request.Model}, the last call",
            Execute = () => ModelSteps.WrapUpAsync(Models, request, denial, new StepLog(Session, key, _scope, null) { Last = true }),
        });
        return (await answer.Task).Answer!.Answer;
    }

    /// <summary>Journals a denial in the place of the step's answer, where the agent is to give its last one: so a replay is told the same.</summary>
    private async Task ToldAsync(StepKey key, Func<Task> execute)
    {
        try
        {
            await execute();
        }
        catch (RunHaltException halted) when (halted.Halt is RunHalt.AtLimit at && Session.WrapsUpAt(at.Denial))
        {
            var denial = ((RunHalt.AtLimit)halted.Halt).Denial;
            await Session.JournalAsync([new EntryDraft(EntryKind.LimitHit, EntryBody.LimitHit.Of(denial) with { WrapUp = true }) { Scope = _scope, Key = key.Hash }], null);
        }
    }

    private static bool Denied<T>(Arrival arrival, TaskCompletionSource<Limited<T>> answer)
        where T : class
    {
        if (arrival.Body is not EntryBody.LimitHit hit)
            return false;
        answer.SetResult(new(null, hit.ToDenial()));
        return true;
    }

    /// <summary>A tool's step; its body works on the run's box.</summary>
    internal Task<Limited<StepRecord>> ToolAsync(StepKey key, StepSubject subject, Func<StepCall, StepContext, Task<StepAttempt>> body)
    {
        var call = new StepCall(key, subject, _scope);
        var answer = new TaskCompletionSource<Limited<StepRecord>>();
        _turn.Ask(new Operation(Slots.Step(key.Hash), arrival => Denied(arrival, answer) ? null : Match(arrival, call, record => answer.SetResult(new(record, null))))
        {
            Execute = () => ToldAsync(key, () => _steps.ExecuteToolAsync(call, Manifest.Retry, step => body(call, step))),
            Step = subject,
        });
        return answer.Task;
    }

    private static DriftReport? Match(Arrival arrival, StepCall call, Action<StepRecord> give)
    {
        var (record, drift) = StepJson.Match(arrival, call);
        if (drift is null)
            give(record!);
        return drift;
    }

    /// <summary>Brings the run to a halt, as soon as all that is recorded is answered.</summary>
    internal Task HaltAsync(RunHalt halt)
    {
        _turn.Ask(new Operation("halt", _ => null) { Text = "halt", Execute = () => Task.FromException(new RunHaltException(halt)) });
        return new TaskCompletionSource().Task;
    }

    /// <summary>Journals a remark with the next write, unless this is a replay.</summary>
    internal void Note(EntryDraft remark)
    {
        if (!Replaying)
            _turn.Note(remark);
    }
}
