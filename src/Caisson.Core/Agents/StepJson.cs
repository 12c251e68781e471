using System.Diagnostics.CodeAnalysis;
using System.Text.Encodings.Web;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Agents;

/// <summary>Results of named steps, as JSON; and whether a record is of the step that is asked for.</summary>
internal static class StepJson
{
    internal const int MaxResultBytes = 16 << 20;

    // Nothing here is ever put into a page of HTML: the default's escapes would only make results longer.
    private static readonly JsonSerializerOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Agents in code are compiled into a host that is not trimmed.")]
    internal static T Read<T>(StepRecord record) => record.Failure is { } failure
        ? throw new StepFailedException(failure)
        : JsonSerializer.Deserialize<T>(record.Result.Span)!;

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Agents in code are compiled into a host that is not trimmed.")]
    internal static byte[] Write<T>(T result) => JsonSerializer.SerializeToUtf8Bytes(result, Compact);

    internal static (StepRecord? Record, DriftReport? Drift) Match(Arrival arrival, StepCall call)
    {
        var (was, failure, root) = arrival.Body switch
        {
            EntryBody.StepCompleted completed => (completed.Step, completed.Failure, completed.Workspace),
            EntryBody.StepResolved resolved => (resolved.Step, resolved.Failure, null),
            _ => (null, null, null),
        };
        var now = call.Subject;
        return was is not null && was.Kind == now.Kind && was.Name == now.Name && was.ArgumentsHash == now.ArgumentsHash && was.CallId == now.CallId
            ? (new StepRecord(arrival.Seq, call.Key, was, arrival.Payload, failure, root), null)
            : (null, new DriftReport(arrival.Seq, was is null ? Words.Of(arrival.Kind) : RunHistory.Describe(was), RunHistory.Describe(now)));
    }
}
