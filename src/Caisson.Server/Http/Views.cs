using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.AspNetCore.Http;

namespace Caisson.Server.Http;

/// <summary>What is stored, as the API shows it.</summary>
internal static class Views
{
    internal static RunView Of(RunRecord run) => new()
    {
        Id = run.Id.ToString(),
        Agent = run.Agent,
        Status = run.Status,
        Waiting = run.Waiting,
        Paused = run.Paused,
        Detail = run.Summary.Detail,
        CreatedAt = run.CreatedAt,
        UpdatedAt = run.UpdatedAt,
        EndedAt = run.EndedAt,
        Epoch = run.Epoch,
        LastSeq = run.LastSeq,
        Steps = run.Summary.Steps,
        ToolCalls = run.Summary.ToolCalls,
        InputTokens = run.Summary.InputTokens,
        OutputTokens = run.Summary.OutputTokens,
        SpentUsd = Money.Text(run.Money.Spent),
        InDoubtUsd = Money.Text(run.Money.InDoubt),
        BudgetUsd = run.Money.Cap is { } cap ? Money.Text(cap) : null,
        LimitAt = run.Paused == PauseCause.Budget ? run.Summary.LimitAt : null,
        LimitAbove = run.Paused == PauseCause.Budget ? run.Summary.LimitAbove : null,
        CurrentStep = run.Summary.CurrentStep,
        Result = run.Summary.Result,
        Failure = run.Summary.Failure,
        Unconfirmed = run.Summary.Unconfirmed,
        WorkspaceRoot = run.Summary.WorkspaceRoot,
        Kept = run.Summary.Kept,
        Artifacts = run.Summary.Artifacts,
        Labels = run.Summary.Labels,
    };

    internal static JournalEntryView Of(JournalEntry entry, bool payloads) => new(
        entry.Seq,
        Words.Of(entry.Kind),
        entry.At,
        entry.Epoch,
        entry.Key,
        entry.Attempt,
        Json(entry.Body),
        payloads && entry.Payload is { Length: > 0 } payload ? Json(payload) : null,
        entry.Payload?.Length ?? 0);

    internal static async Task WriteAsync<T>(HttpContext http, int status, T value, JsonTypeInfo<T> type)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=utf-8";
        await http.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(value, type), http.RequestAborted);
    }

    private static JsonElement Json(ReadOnlyMemory<byte> bytes)
    {
        var reader = new Utf8JsonReader(bytes.Span);
        return JsonElement.ParseValue(ref reader);
    }
}
