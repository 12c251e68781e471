using System.Text.Json;
using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>Body of <c>POST /v1/runs</c>. The idempotency key travels in the header <c>Idempotency-Key</c>.</summary>
/// <param name="Manifest">The agent's manifest, YAML text.</param>
/// <param name="ManifestFile">Its file name, for error messages.</param>
public sealed record CreateRunRequest(
    string Manifest,
    string? ManifestFile,
    string Input,
    RunOverrides? Limits = null,
    IReadOnlyDictionary<string, string>? Labels = null)
{
    /// <summary>Root of a saved workspace that the run begins with. Default: an empty one.</summary>
    public string? Workspace { get; init; }
}

/// <summary>Limits given for one run, in place of the manifest's; also the body of a resume, where they raise.</summary>
/// <param name="Usd">Money as a decimal text, so that nothing is rounded: <c>0.05</c>.</param>
/// <param name="Deadline">From the run's creation.</param>
/// <param name="LoopRepeats">Same call with the same result in a row before the loop guard pauses.</param>
public sealed record RunOverrides(
    string? Usd = null,
    long? Tokens = null,
    long? Steps = null,
    long? ToolCalls = null,
    TimeSpan? Deadline = null,
    int? LoopRepeats = null)
{
    public long? ModelCalls { get; init; }
    public long? InputTokens { get; init; }
    public long? OutputTokens { get; init; }
    public long? Children { get; init; }
    public long? ChildBreadth { get; init; }
    public long? ChildDepth { get; init; }
    public TimeSpan? NoProgress { get; init; }
}

/// <summary>Body of <c>POST /v1/runs/{id}/cancel</c> and <c>/pause</c>.</summary>
public sealed record OperatorRequest(string? Reason = null);

/// <summary>A run as the API shows it.</summary>
public sealed record RunView
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
    public required string Id { get; init; }
    public required string Agent { get; init; }
    public required RunStatus Status { get; init; }
    public WaitReason Waiting { get; init; }
    public PauseCause Paused { get; init; }

    /// <summary>One line for people: what it waits for, why it stands paused, how it failed.</summary>
    public string? Detail { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Ownerships so far; more than one means that it was resumed.</summary>
    public long Epoch { get; init; }
    public long LastSeq { get; init; }
    public long Steps { get; init; }
    public long ToolCalls { get; init; }
    public long InputTokens { get; init; }
    public long OutputTokens { get; init; }

    /// <summary>Money settled, the part in doubt included, as a decimal of US dollars.</summary>
    public required string SpentUsd { get; init; }

    /// <summary>Part of <see cref="SpentUsd"/> that a crash left unsettled.</summary>
    public required string InDoubtUsd { get; init; }
    public string? BudgetUsd { get; init; }

    /// <summary>The limit at which a run paused by its budget stands.</summary>
    public LimitDimension? LimitAt { get; init; }

    /// <summary>The budget node whose limit that is, where it is not the run's own: <c>tenant:NAME</c>, or <c>run:ID</c> of an ancestor.</summary>
    public string? LimitAbove { get; init; }
    public string? CurrentStep { get; init; }
    public string? Result { get; init; }
    public Failure? Failure { get; init; }

    /// <summary>It was cancelled, but a box of it is not confirmed gone and may still act. It becomes false when the reaper has seen to it.</summary>
    public bool Unconfirmed { get; init; }

    /// <summary>State of the workspace after the last completed step that changed it; of an ended run, what was kept of that.</summary>
    public string? WorkspaceRoot { get; init; }

    /// <summary>What was kept of the files when the run ended, where that is not all.</summary>
    public WorkspaceKeep? Kept { get; init; }
    public IReadOnlyList<string> Artifacts { get; init; } = [];
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
}

/// <param name="Next">Cursor of the next page, or <c>null</c> at the end.</param>
public sealed record RunPage(IReadOnlyList<RunView> Items, string? Next)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>One journal entry as the API shows it.</summary>
/// <param name="Body">What the entry says; its shape depends on <paramref name="Kind"/>.</param>
/// <param name="Result">A step's result, where asked for.</param>
/// <param name="ResultBytes">Its size, also where it is not shown.</param>
public sealed record JournalEntryView(
    long Seq,
    string Kind,
    DateTimeOffset At,
    long Epoch,
    string? Key,
    int Attempt,
    JsonElement Body,
    JsonElement? Result,
    long ResultBytes);

public sealed record JournalPage(IReadOnlyList<JournalEntryView> Items, long? NextAfter)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

/// <summary>A file of a run's workspace.</summary>
public sealed record WorkspaceFileView(string Path, string Kind, long Size);

/// <summary>An error over HTTP: <c>application/problem+json</c> with a stable code.</summary>
public sealed record Problem(string Title, int Status, string Code, string Detail);

/// <summary>Answer of <c>/readyz</c>.</summary>
public sealed record ReadyView(bool Ready, string? Reason, int Running);

/// <summary>Media types and headers that both sides of the wire name.</summary>
public static class ApiNames
{
    public const string Problem = "application/problem+json";
    public const string IdempotencyKey = "Idempotency-Key";
    public const string LastEventId = "Last-Event-ID";
    public const string DefaultAddress = "127.0.0.1:7311";
}

/// <summary>Enums travel as the words that people read: <c>retry_exhausted</c>.</summary>
public sealed class WordConverter<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false)
    where T : struct, Enum;

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UseStringEnumConverter = true,
    Converters = [typeof(WordConverter<RunStatus>), typeof(WordConverter<WaitReason>), typeof(WordConverter<PauseCause>), typeof(WordConverter<LimitDimension>)],
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CreateRunRequest))]
[JsonSerializable(typeof(RunOverrides))]
[JsonSerializable(typeof(OperatorRequest))]
[JsonSerializable(typeof(RunView))]
[JsonSerializable(typeof(RunPage))]
[JsonSerializable(typeof(JournalEntryView))]
[JsonSerializable(typeof(JournalPage))]
[JsonSerializable(typeof(IReadOnlyList<WorkspaceFileView>))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(ReadyView))]
[JsonSerializable(typeof(AgentManifest))]
public sealed partial class ApiJson : JsonSerializerContext;
