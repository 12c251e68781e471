using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;
using Caisson.Core.Models;

namespace Caisson.Core.Journal;

/// <summary>What each kind of entry says. Stored as JSON for ever: add fields with defaults, never change a meaning.</summary>
internal abstract record EntryBody
{
    internal sealed record RunCreated(AgentManifest Manifest, string ManifestHash, string Input, string Engine, IReadOnlyDictionary<string, string> Labels) : EntryBody;

    /// <param name="Reason"><c>start</c>, <c>input</c>, <c>due</c> or <c>recovery</c> (the owner before it is gone).</param>
    internal sealed record EpochClaimed(string Node, string Reason, IReadOnlyList<DoubtfulHold> InDoubt) : EntryBody;

    internal sealed record StepStarted(StepSubject Step, Hold? Hold) : EntryBody;

    internal sealed record StepCompleted(StepSubject Step, Usage? Usage, long Ms, Failure? Failure, string? Workspace) : EntryBody;

    internal sealed record StepFailed(StepSubject Step, Failure Failure, HoldFate Hold, DateTimeOffset? RetryAt) : EntryBody;

    internal sealed record LimitHit(string Node, LimitDimension Dimension, long Cap, long Spent, long Held, long Wanted) : EntryBody;

    internal sealed record LimitRaised(RaisedLimits Limits, string By) : EntryBody;

    /// <param name="Signal"><c>repeat</c> or <c>cycle</c>.</param>
    /// <param name="Acted">Whether it paused or ended the run, not only warned.</param>
    internal sealed record LoopSuspected(string Signal, string Tool, int Count, int Period, bool Acted) : EntryBody;

    internal sealed record Drift(DriftReport Report) : EntryBody;

    internal sealed record CancelRequested(string By, string? Reason) : EntryBody;

    internal sealed record Paused(PauseCause Cause, string Detail) : EntryBody;

    internal sealed record Resumed(string By) : EntryBody;

    internal sealed record RunEnded(RunStatus Status, string? Result, Failure? Failure) : EntryBody;
}

/// <summary>New caps, each <c>null</c> where it stays.</summary>
internal sealed record RaisedLimits(long? NanoUsd = null, long? Tokens = null, long? Steps = null, long? ToolCalls = null, TimeSpan? Deadline = null, int? LoopRepeats = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    Converters = [typeof(WordConverter<RunStatus>), typeof(WordConverter<PauseCause>), typeof(WordConverter<LimitDimension>), typeof(WordConverter<StepKind>),
        typeof(WordConverter<HoldFate>), typeof(WordConverter<IsolationTier>), typeof(WordConverter<LimitPolicy>), typeof(WordConverter<LoopPolicy>)],
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

    /// <summary>The JSON of a body whose kind is known only at run time.</summary>
    internal static byte[] Write(EntryBody body) => JsonSerializer.SerializeToUtf8Bytes(body, Compact.GetTypeInfo(body.GetType()));
}

/// <summary>What comes from outside through the inbox.</summary>
internal static class InputBody
{
    internal sealed record Operator(string By, string? Reason, RaisedLimits? Raise);
}
