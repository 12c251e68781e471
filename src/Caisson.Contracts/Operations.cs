using System.Text.Json;
using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>Body of <c>POST /v1/runs/{id}/retry</c>.</summary>
/// <param name="By">Who asks, for the journal; default <c>operator</c>.</param>
public sealed record RetryRequest(string? By = null);

/// <summary>Body of <c>POST /v1/runs/{id}/approvals</c>: a decision.</summary>
/// <param name="Key">Of the approval, or a prefix that one open approval has; may be left out where one is open.</param>
public sealed record DecisionRequest(bool Approved, string? Key = null, string? By = null, string? Comment = null);

/// <summary>A question to people that is not decided yet.</summary>
/// <param name="Binding">Hash of what exactly is approved.</param>
/// <param name="Approvers">How many different people must say yes.</param>
/// <param name="Yes">Who has.</param>
public sealed record ApprovalView(
    string Run, string Agent, string Key, string Question, string Binding, DateTimeOffset AskedAt, DateTimeOffset? ExpiresAt, bool Expired, int Approvers, IReadOnlyList<string> Yes, long Seq);

/// <param name="Next">Cursor of the next page, or <c>null</c> at the end.</param>
public sealed record ApprovalPage(IReadOnlyList<ApprovalView> Items, string? Next)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>Body of <c>POST /v1/runs/{id}/unknowns</c>: how a step of unknown outcome came out.</summary>
/// <param name="Step">Key of the step, or a prefix that one such step has.</param>
/// <param name="How"><c>done</c> with a result, <c>not_done</c> (it runs again), or <c>skip</c> (the agent gets a failure).</param>
/// <param name="Result">What the step answers, as JSON.</param>
public sealed record ResolveRequest(string Step, string How, JsonElement? Result = null, string? By = null);

/// <summary>A step that was under way when its owner died, and that nobody has settled.</summary>
/// <param name="Policy">What the agent's author chose for this case.</param>
public sealed record UnknownStepView(string Step, string Kind, string Name, string? Arguments, string Effect, string Policy, DateTimeOffset At, long Seq);

public sealed record UnknownSteps(IReadOnlyList<UnknownStepView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>Body of <c>POST /v1/runs/{id}/fork</c>.</summary>
/// <param name="At">The last entry to bring along; default is the last one with a result.</param>
/// <param name="Input">In place of the parent's.</param>
/// <param name="Effects"><c>live</c> (default), <c>from_record</c> or <c>dry_run</c>.</param>
/// <param name="Admin">Lets limits rise above those of the run that it comes from.</param>
public sealed record ForkRequest(long? At = null, string? Input = null, RunOverrides? Limits = null, string? Effects = null, bool Admin = false);

/// <summary>Body of <c>PUT /v1/kill-switches/{all|tenant:NAME|agent:NAME}</c>.</summary>
public sealed record KillRequest(string? Reason = null, string? By = null);

/// <param name="Target"><c>all</c>, <c>tenant:NAME</c> or <c>agent:NAME</c>.</param>
public sealed record KillOrderView(string Target, string By, string? Reason, DateTimeOffset At);

/// <summary>What is stopped, widest first.</summary>
public sealed record KillSwitchView(IReadOnlyList<KillOrderView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;

    /// <summary>Whether the request changed anything.</summary>
    public bool Changed { get; init; }

    /// <summary>Runs that a lifted order had paused and that this request resumed.</summary>
    public int Resumed { get; init; }
}

/// <summary>What a node of the budget tree may spend and has spent.</summary>
/// <param name="Path">The nodes that it counts on, from the top; itself at the end.</param>
public sealed record BudgetView(string Node, IReadOnlyList<string> Path, IReadOnlyList<BudgetRowView> Rows)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>One dimension: money as a decimal of US dollars, times as <c>90s</c>, all else as whole numbers.</summary>
/// <param name="Cap"><c>null</c> for none.</param>
/// <param name="Held">Set aside for calls under way.</param>
/// <param name="InDoubt">Part of <paramref name="Spent"/> that a crash left unsettled.</param>
public sealed record BudgetRowView(string Dimension, string? Cap, string Spent, string Held, string InDoubt);

/// <summary>Body of <c>PUT /v1/budgets/{node}</c>.</summary>
/// <param name="Caps">By dimension (<c>usd</c>, <c>tokens</c>, <c>steps</c>, <c>tool_calls</c>, <c>deadline</c>); <c>none</c> lifts the cap of a tenant.</param>
public sealed record BudgetChangeRequest(IReadOnlyDictionary<string, string> Caps, string? By = null);

/// <summary>Money and tokens of a call that was under way when its owner died.</summary>
public sealed record WasteView(string Step, long Epoch, string Usd, long Tokens, string Cause, DateTimeOffset At);

public sealed record WasteList(string Run, IReadOnlyList<WasteView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>What is wrong with a run's journal; nothing, where the list is empty.</summary>
/// <param name="Entries">How many were looked at.</param>
/// <param name="Truncated">More was found than is listed.</param>
public sealed record VerifyView(string Run, long Entries, IReadOnlyList<FindingView> Findings, bool Truncated)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>Reports of many runs.</summary>
public sealed record VerifyList(IReadOnlyList<VerifyView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <param name="Seq">The entry at which it shows; 0 where it is about the whole run.</param>
public sealed record FindingView(long Seq, string Code, string Text);

/// <summary>What a run's boxes reached, or were kept from: decisions that are alike are counted together.</summary>
public sealed record EgressList(string Run, IReadOnlyList<EgressView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <param name="Code"><c>allowed</c>, <c>effect_unrecorded</c> for what nobody looks into, <c>moved</c> for bytes, or the error code of a denial.</param>
/// <param name="Subject">Method, host and port.</param>
/// <param name="Detail">Of the last one: its path, or the reason of a denial.</param>
public sealed record EgressView(string Code, string Subject, long Count, long Sent, long Received, DateTimeOffset FirstAt, DateTimeOffset LastAt, string? Detail);

/// <summary>Why a run stands where it stands, in words.</summary>
public sealed record WhyView
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
    public required string Run { get; init; }
    public required string Agent { get; init; }
    public required RunStatus Status { get; init; }
    public WaitReason Waiting { get; init; }
    public PauseCause Paused { get; init; }

    /// <summary>What it does or waits for, in one sentence.</summary>
    public required string Doing { get; init; }
    public required DateTimeOffset Since { get; init; }

    /// <summary>What makes it go on without anybody; <c>null</c> where a person must, or where it has ended.</summary>
    public string? Wakes { get; init; }
    public required IReadOnlyList<string> Facts { get; init; }

    /// <summary>What a person can do.</summary>
    public required IReadOnlyList<WhyNext> Next { get; init; }
}

public sealed record WhyNext(string Command, string Effect);

/// <summary>The shapes of the verbs beyond create, list and steer.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UseStringEnumConverter = true,
    Converters = [typeof(WordConverter<RunStatus>), typeof(WordConverter<WaitReason>), typeof(WordConverter<PauseCause>), typeof(WordConverter<LimitDimension>)],
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RetryRequest))]
[JsonSerializable(typeof(DecisionRequest))]
[JsonSerializable(typeof(ApprovalPage))]
[JsonSerializable(typeof(ResolveRequest))]
[JsonSerializable(typeof(UnknownSteps))]
[JsonSerializable(typeof(ForkRequest))]
[JsonSerializable(typeof(KillRequest))]
[JsonSerializable(typeof(KillSwitchView))]
[JsonSerializable(typeof(BudgetView))]
[JsonSerializable(typeof(BudgetChangeRequest))]
[JsonSerializable(typeof(WasteList))]
[JsonSerializable(typeof(EgressList))]
[JsonSerializable(typeof(VerifyView))]
[JsonSerializable(typeof(VerifyList))]
[JsonSerializable(typeof(WhyView))]
public sealed partial class OperationsJson : JsonSerializerContext;
