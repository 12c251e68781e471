using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Models;

/// <summary>
/// The only way to a model provider. A call is a step: it is answered from the journal when recorded, otherwise
/// reserved before and settled with its answer. The implementation works on <see cref="IStepLog"/> and on no store.
/// </summary>
public interface IModels
{
    /// <summary>Whether a run of this model can be accepted: known provider, and a price where money is capped. <c>null</c> is yes.</summary>
    Failure? Check(string model, bool moneyIsCapped);

    /// <summary>The most that so many tokens of this model can cost, in nano-USD, be they input or output; 0 for a model without a price.</summary>
    long DearestOf(string model, long tokens);

    /// <summary>Throws only <see cref="OperationCanceledException"/>, when the run's ownership or the server ends.</summary>
    Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken);
}

/// <param name="Model"><c>provider/model</c>.</param>
/// <param name="Identity">Hash of everything that makes this call what it is; the caller chains it, so it costs only the new messages.</param>
/// <param name="Note">Sent to the model after the messages, outside the identity: the loop guard's warning.</param>
/// <param name="MaxOutputTokens">The client's own bound, if it has one.</param>
public sealed record ModelRequest(
    string Model,
    IReadOnlyList<ModelMessage> Messages,
    IReadOnlyList<ToolDefinition> Tools,
    string Identity,
    string? Note,
    int? MaxOutputTokens,
    RetrySettings Retry)
{
    /// <summary>Whether a money cap stands anywhere on the run's budget path: a model without a price is then refused. A caller that does not say gets the safe answer.</summary>
    public bool MoneyIsCapped { get; init; } = true;

    /// <summary>The tools are named because the conversation speaks of them, and may not be called.</summary>
    public bool ToolsOff { get; init; }
}

public enum ModelRole
{
    System = 1,
    User = 2,
    Assistant = 3,
    Tool = 4,
}

/// <param name="Calls">Tool calls of an assistant message, else empty.</param>
/// <param name="CallId">For a tool message: the id of the call that it answers, as the provider gave it.</param>
public sealed record ModelMessage(ModelRole Role, string Text, IReadOnlyList<ToolCall> Calls, string? CallId)
{
    public static ModelMessage System(string text) => new(ModelRole.System, text, [], null);

    public static ModelMessage User(string text) => new(ModelRole.User, text, [], null);

    public static ModelMessage Assistant(ModelAnswer answer) => new(ModelRole.Assistant, answer.Text, answer.Calls, null);

    public static ModelMessage Tool(string callId, string text) => new(ModelRole.Tool, text, [], callId);
}

/// <param name="Id">As the provider gave it. Providers repeat ids between turns; it is never an identity.</param>
/// <param name="Arguments">The argument text as the model wrote it, which need not be JSON.</param>
public sealed record ToolCall(string Id, string Name, string Arguments);

/// <param name="Schema">JSON schema of the arguments.</param>
public sealed record ToolDefinition(string Name, string Description, string Schema);

/// <summary>A complete answer: what is journaled as the step's result.</summary>
/// <param name="Model">The model that the provider says it used.</param>
/// <param name="FinishReason"><c>stop</c>, <c>tool_calls</c>, <c>length</c> or the provider's own word.</param>
public sealed record ModelAnswer(string Text, IReadOnlyList<ToolCall> Calls, string FinishReason, string Model, string? ResponseId);

public abstract record ModelOutcome
{
    /// <param name="Key">The call's step: tool steps that it asked for derive their identity from it.</param>
    /// <param name="Recorded">Answered from the journal: nothing was sent, nothing spent.</param>
    public sealed record Answered(ModelAnswer Answer, StepKey Key, bool Recorded) : ModelOutcome;

    public sealed record LimitReached(LimitDenial Denial) : ModelOutcome;

    /// <summary>A transient failure that outlasted the retry policy. The run pauses.</summary>
    public sealed record Exhausted(Failure Failure) : ModelOutcome;

    /// <summary>A failure that trying again cannot mend. The run fails.</summary>
    public sealed record Failed(Failure Failure) : ModelOutcome;

    /// <summary>The journal holds records that this call does not fit. The run pauses.</summary>
    public sealed record Drifted(DriftReport Report) : ModelOutcome;
}
