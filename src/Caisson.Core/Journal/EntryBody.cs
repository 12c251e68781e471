using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Models;

namespace Caisson.Core.Journal;

/// <summary>What each kind of entry says. Stored as JSON for ever: add fields with defaults, never change a meaning.</summary>
internal abstract record EntryBody
{
    internal sealed record RunCreated(AgentManifest Manifest, string ManifestHash, string Input, string Engine, IReadOnlyDictionary<string, string> Labels) : EntryBody
    {
        /// <summary>Build of the agent's code, where it has one.</summary>
        public string? Build { get; init; }

        /// <summary>Root of the saved workspace that it begins with; none: an empty one.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Workspace { get; init; }

        /// <summary>Hashes of agent and input of the runs above this one, from the root: a run that spawns its own like is a cycle.</summary>
        public IReadOnlyList<string> Ancestry { get; init; } = [];
    }

    /// <param name="Reason"><c>start</c>, <c>input</c>, <c>due</c> or <c>recovery</c> (the owner before it is gone).</param>
    internal sealed record EpochClaimed(string Node, string Reason, IReadOnlyList<DoubtfulHold> InDoubt) : EntryBody;

    /// <param name="Effect"><c>null</c> in entries that only hold money.</param>
    internal sealed record StepStarted(StepSubject Step, Hold? Hold, EffectClass? Effect = null) : EntryBody;

    internal sealed record StepCompleted(StepSubject Step, Usage? Usage, long Ms, Failure? Failure, string? Workspace) : EntryBody;

    internal sealed record StepFailed(StepSubject Step, Failure Failure, HoldFate Hold, DateTimeOffset? RetryAt) : EntryBody;

    internal sealed record LimitHit(string Node, LimitDimension Dimension, long Cap, long Spent, long Held, long Wanted) : EntryBody
    {
        /// <summary>The agent was told, in the place of the step that was denied, and gives its last answer.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
        public bool WrapUp { get; init; }

        internal static LimitHit Of(LimitDenial denial) => new(denial.Node, denial.Dimension, denial.Cap, denial.Spent, denial.Held, denial.Wanted);

        internal LimitDenial ToDenial() => new(Node, Dimension, Cap, Spent, Held, Wanted);
    }

    internal sealed record LimitRaised(RaisedLimits Limits, string By) : EntryBody;

    /// <param name="Signal"><c>repeat</c> or <c>cycle</c>.</param>
    /// <param name="Acted">Whether it paused or ended the run, not only warned.</param>
    internal sealed record LoopSuspected(string Signal, string Tool, int Count, int Period, bool Acted) : EntryBody;

    /// <param name="WentLive">The run went on without the records from there on.</param>
    internal sealed record Drift(DriftReport Report, bool WentLive = false) : EntryBody;

    internal sealed record CancelRequested(string By, string? Reason) : EntryBody;

    internal sealed record Paused(PauseCause Cause, string Detail) : EntryBody;

    internal sealed record Resumed(string By) : EntryBody;

    /// <param name="Unconfirmed">Something of the run may still act: its box would not go.</param>
    internal sealed record RunEnded(RunStatus Status, string? Result, Failure? Failure, bool Unconfirmed = false) : EntryBody;

    internal sealed record StepUnknown(StepSubject Step, EffectClass Effect, UnknownPolicy Policy) : EntryBody;

    /// <summary>The answer that stands for the completion; its result is the entry's payload.</summary>
    /// <param name="How"><c>verified</c>, <c>not_done</c> (it runs again), <c>reported</c>, <c>compensated</c>, <c>failed</c>, <c>set</c> or <c>skipped</c> by a person.</param>
    internal sealed record StepResolved(StepSubject Step, string How, string? By, Failure? Failure) : EntryBody;

    /// <param name="Payload">JSON as the sender gave it.</param>
    internal sealed record SignalConsumed(string InputId, string Name, string Payload, string By) : EntryBody;

    internal sealed record TimerSet(string Name, DateTimeOffset DueAt) : EntryBody;

    internal sealed record TimerFired : EntryBody;

    internal sealed record ChildSpawned(string Child, string Agent, bool Detached) : EntryBody;

    internal sealed record ChildEnded(string Child, RunStatus Status, string? Result, Failure? Failure) : EntryBody;

    /// <param name="Binding">Hash of what is approved: step, arguments, workspace, manifest, policy.</param>
    internal sealed record ApprovalRequested(string Question, string Binding, DateTimeOffset? ExpiresAt, int Approvers) : EntryBody;

    /// <param name="By">Who decided; two names for a decision of four eyes.</param>
    /// <param name="Partial">One yes of the two that are needed.</param>
    internal sealed record ApprovalDecided(bool Approved, IReadOnlyList<string> By, string? Comment, bool Expired, bool Partial = false) : EntryBody;

    internal sealed record WorkspaceSaved(string Root) : EntryBody;

    /// <param name="Root">A tree of what stays; <c>null</c> where nothing does.</param>
    internal sealed record WorkspaceKept(WorkspaceKeep Keep, string? Root) : EntryBody;

    /// <param name="Occurrences">How often each identity was asked for until here.</param>
    /// <param name="Signals">Entries of signals that nobody had taken until here.</param>
    internal sealed record Snapshot(IReadOnlyDictionary<string, int> Occurrences, IReadOnlyList<long> Signals) : EntryBody
    {
        /// <summary>The last entry that had answered the agent when it asked: signals from there to the snapshot were not taken either. None in older entries.</summary>
        public long? Seen { get; init; }
    }

    internal sealed record ForkedFrom(string Parent, long Seq, string Lineage, ForkEffects Effects) : EntryBody
    {
        /// <summary>Whose identity seeds ids and chance while the copied entries are replayed; after them it is the run's own.</summary>
        public IReadOnlyList<SeedSpan> Seeds { get; init; } = [];
    }

    internal sealed record VersionAdopted(string From, string To) : EntryBody;

    /// <summary>From here on the step that its key names is one that must not be repeated.</summary>
    /// <param name="Path">Without the query, cut to a bound.</param>
    /// <param name="Secret">Its name; the value is nowhere.</param>
    /// <param name="More">The last one of its attempt that is written: what follows stands under it.</param>
    internal sealed record EgressIntended(StepSubject Step, EgressKind What, string Host, int Port, string? Method, string? Path, string? Secret, bool More = false) : EntryBody;

    /// <param name="Levels">How many at each level, <c>L0</c> to <c>L3</c>.</param>
    /// <param name="Loose">Those that were not asked for in the recorded words; the first hundred.</param>
    internal sealed record Replayed(IReadOnlyDictionary<string, int> Levels, IReadOnlyList<LooseReplay>? Loose) : EntryBody;
}

/// <param name="Seq">The entry that answered.</param>
internal sealed record LooseReplay(long Seq, string Level);

/// <param name="Until">The last entry of this run that belongs to it.</param>
internal sealed record SeedSpan(string Run, long Until);

/// <summary>New caps, each <c>null</c> where it stays.</summary>
internal sealed record RaisedLimits(long? NanoUsd = null, long? Tokens = null, long? Steps = null, long? ToolCalls = null, TimeSpan? Deadline = null, int? LoopRepeats = null)
{
    public long? ModelCalls { get; init; }
    public long? InputTokens { get; init; }
    public long? OutputTokens { get; init; }
    public long? Children { get; init; }
    public long? ChildBreadth { get; init; }
    public long? ChildDepth { get; init; }
    public TimeSpan? NoProgress { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    Converters = [typeof(WordConverter<RunStatus>), typeof(WordConverter<PauseCause>), typeof(WordConverter<LimitDimension>), typeof(WordConverter<StepKind>),
        typeof(WordConverter<HoldFate>), typeof(WordConverter<EffectClass>), typeof(WordConverter<UnknownPolicy>), typeof(WordConverter<ForkEffects>), typeof(WordConverter<IsolationTier>), typeof(WordConverter<LimitPolicy>), typeof(WordConverter<LoopPolicy>), typeof(WordConverter<DriftPolicy>), typeof(WordConverter<EgressKind>)],
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(EntryBody.RunCreated))]
[JsonSerializable(typeof(EntryBody.EpochClaimed))]
[JsonSerializable(typeof(EntryBody.StepStarted))]
[JsonSerializable(typeof(EntryBody.StepCompleted))]
[JsonSerializable(typeof(EntryBody.StepFailed))]
[JsonSerializable(typeof(EntryBody.LimitHit))]
[JsonSerializable(typeof(EntryBody.LimitRaised))]
[JsonSerializable(typeof(EntryBody.LoopSuspected))]
[JsonSerializable(typeof(EntryBody.Drift))]
[JsonSerializable(typeof(EntryBody.CancelRequested))]
[JsonSerializable(typeof(EntryBody.Paused))]
[JsonSerializable(typeof(EntryBody.Resumed))]
[JsonSerializable(typeof(EntryBody.RunEnded))]
[JsonSerializable(typeof(EntryBody.StepUnknown))]
[JsonSerializable(typeof(EntryBody.StepResolved))]
[JsonSerializable(typeof(EntryBody.SignalConsumed))]
[JsonSerializable(typeof(EntryBody.TimerSet))]
[JsonSerializable(typeof(EntryBody.TimerFired))]
[JsonSerializable(typeof(EntryBody.ChildSpawned))]
[JsonSerializable(typeof(EntryBody.ChildEnded))]
[JsonSerializable(typeof(EntryBody.ApprovalRequested))]
[JsonSerializable(typeof(EntryBody.ApprovalDecided))]
[JsonSerializable(typeof(EntryBody.WorkspaceSaved))]
[JsonSerializable(typeof(EntryBody.WorkspaceKept))]
[JsonSerializable(typeof(EntryBody.Snapshot))]
[JsonSerializable(typeof(EntryBody.ForkedFrom))]
[JsonSerializable(typeof(EntryBody.VersionAdopted))]
[JsonSerializable(typeof(EntryBody.EgressIntended))]
[JsonSerializable(typeof(EntryBody.Replayed))]
[JsonSerializable(typeof(InputBody.Signal))]
[JsonSerializable(typeof(InputBody.Approval))]
[JsonSerializable(typeof(InputBody.ChildEnd))]
[JsonSerializable(typeof(InputBody.Resolve))]
[JsonSerializable(typeof(RaisedLimits))]
[JsonSerializable(typeof(InputBody.Operator))]
internal sealed partial class JournalJson : JsonSerializerContext
{
    internal static byte[] Write<T>(T body) => JsonSerializer.SerializeToUtf8Bytes(body, (JsonTypeInfo<T>)EntryBodies.Compact.GetTypeInfo(typeof(T)));

    internal static T Read<T>(ReadOnlyMemory<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json.Span, (JsonTypeInfo<T>)Default.GetTypeInfo(typeof(T))!)
                ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"a journal entry is not a {typeof(T).Name}");
        }
        catch (JsonException problem)
        {
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"a journal entry is not a {typeof(T).Name}: {problem.Message}", inner: problem);
        }
    }
}

internal static class EntryBodies
{
    // Nothing here is ever put into a page of HTML, and the default's escapes would make JSON within JSON three times as long.
    internal static readonly JsonSerializerOptions Compact = new(JournalJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A kind that this version does not know stops the run: what it means for the agent cannot be guessed.</summary>
    internal static EntryBody Read(EntryKind kind, ReadOnlyMemory<byte> json) => kind switch
    {
        EntryKind.RunCreated => JournalJson.Read<EntryBody.RunCreated>(json),
        EntryKind.EpochClaimed => JournalJson.Read<EntryBody.EpochClaimed>(json),
        EntryKind.StepStarted => JournalJson.Read<EntryBody.StepStarted>(json),
        EntryKind.StepCompleted => JournalJson.Read<EntryBody.StepCompleted>(json),
        EntryKind.StepFailed => JournalJson.Read<EntryBody.StepFailed>(json),
        EntryKind.LimitHit => JournalJson.Read<EntryBody.LimitHit>(json),
        EntryKind.LimitRaised => JournalJson.Read<EntryBody.LimitRaised>(json),
        EntryKind.LoopSuspected => JournalJson.Read<EntryBody.LoopSuspected>(json),
        EntryKind.Drift => JournalJson.Read<EntryBody.Drift>(json),
        EntryKind.CancelRequested => JournalJson.Read<EntryBody.CancelRequested>(json),
        EntryKind.Paused => JournalJson.Read<EntryBody.Paused>(json),
        EntryKind.Resumed => JournalJson.Read<EntryBody.Resumed>(json),
        EntryKind.RunEnded => JournalJson.Read<EntryBody.RunEnded>(json),
        EntryKind.StepUnknown => JournalJson.Read<EntryBody.StepUnknown>(json),
        EntryKind.StepResolved => JournalJson.Read<EntryBody.StepResolved>(json),
        EntryKind.SignalConsumed => JournalJson.Read<EntryBody.SignalConsumed>(json),
        EntryKind.TimerSet => JournalJson.Read<EntryBody.TimerSet>(json),
        EntryKind.TimerFired => JournalJson.Read<EntryBody.TimerFired>(json),
        EntryKind.ChildSpawned => JournalJson.Read<EntryBody.ChildSpawned>(json),
        EntryKind.ChildEnded => JournalJson.Read<EntryBody.ChildEnded>(json),
        EntryKind.ApprovalRequested => JournalJson.Read<EntryBody.ApprovalRequested>(json),
        EntryKind.ApprovalDecided => JournalJson.Read<EntryBody.ApprovalDecided>(json),
        EntryKind.WorkspaceSaved => JournalJson.Read<EntryBody.WorkspaceSaved>(json),
        EntryKind.WorkspaceKept => JournalJson.Read<EntryBody.WorkspaceKept>(json),
        EntryKind.Snapshot => JournalJson.Read<EntryBody.Snapshot>(json),
        EntryKind.ForkedFrom => JournalJson.Read<EntryBody.ForkedFrom>(json),
        EntryKind.VersionAdopted => JournalJson.Read<EntryBody.VersionAdopted>(json),
        EntryKind.EgressIntended => JournalJson.Read<EntryBody.EgressIntended>(json),
        EntryKind.Replayed => JournalJson.Read<EntryBody.Replayed>(json),
        _ => throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the journal has an entry of kind {(int)kind}, which this server does not know: use the server version that wrote it"),
    };

    /// <summary>The JSON of a body whose kind is known only at run time.</summary>
    internal static byte[] Write(EntryBody body) => JsonSerializer.SerializeToUtf8Bytes(body, Compact.GetTypeInfo(body.GetType()));
}

/// <summary>What comes from outside through the inbox.</summary>
internal static class InputBody
{
    internal sealed record Operator(string By, string? Reason, RaisedLimits? Raise);

    /// <param name="Payload">JSON.</param>
    internal sealed record Signal(string Name, string Payload, string By);

    /// <param name="Key">The approval's key.</param>
    /// <param name="Binding">Of the question as the person saw it; <c>null</c> where nobody looked.</param>
    internal sealed record Approval(string Key, bool Approved, string By, string? Comment, string? Binding = null);

    internal sealed record ChildEnd(string Child, RunStatus Status, string? Result, Failure? Failure);

    /// <param name="How"><c>done</c> with a result, <c>not_done</c> (it runs again), or <c>skip</c> (the agent gets a failure).</param>
    internal sealed record Resolve(string Key, string How, string By, string? Result);
}
