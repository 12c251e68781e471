using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>
/// Writes everything that is known of one run as one JSON document, page by page: what somebody attaches to a report
/// of a run that cannot be explained. It must also work where the run's data are damaged.
/// </summary>
internal sealed class BundleWriter(JournalPages journal, IBudgetStore budgets, IBlobStore blobs, TimeProvider clock)
{
    private const int MaxWaste = 1_000;
    private const int FlushBytes = 64 << 10;

    internal async Task WriteAsync(RunRecord run, WhyView why, IReadOnlyList<InboxInput> inbox, bool payloads, Stream output, CancellationToken cancellationToken)
    {
        await using var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteNumber("schema", 1);
        json.WriteString("engine", EngineVersion.Text);
        json.WriteString("written_at", clock.GetUtcNow());
        json.WritePropertyName("record");
        Record(json, run);
        await ManifestAsync(json, run.Id, cancellationToken);
        json.WritePropertyName("why");

        // Serialized into the writer it would be flushed at once, synchronously, which the server's response does not bear.
        json.WriteRawValue(JsonSerializer.SerializeToUtf8Bytes(why, OperationsJson.Default.WhyView));
        json.WriteStartArray("inbox");
        foreach (var input in inbox)
            Input(json, input);
        json.WriteEndArray();
        json.WriteStartArray("waste");
        foreach (var row in await budgets.ReadWasteAsync(run.Id, MaxWaste, cancellationToken))
            Waste(json, row);
        json.WriteEndArray();
        json.WriteStartArray("journal");
        await foreach (var read in journal.ReadAsync(run.Id, run.LastSeq, cancellationToken))
        {
            await EntryAsync(json, read, payloads, cancellationToken);
            if (json.BytesPending > FlushBytes)
                await json.FlushAsync(cancellationToken);
        }

        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(cancellationToken);
    }

    private async Task ManifestAsync(Utf8JsonWriter json, RunId run, CancellationToken cancellationToken)
    {
        await foreach (var first in journal.ReadAsync(run, 1, cancellationToken))
        {
            try
            {
                using var created = JsonDocument.Parse(first.Body);
                var manifest = created.RootElement.GetProperty("manifest");
                json.WritePropertyName("manifest");
                manifest.WriteTo(json);
            }
            catch (Exception problem) when (problem is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                // The entry itself shows below, whatever it is.
            }
        }
    }

    private static void Record(Utf8JsonWriter json, RunRecord run)
    {
        json.WriteStartObject();
        json.WriteString("id", run.Id.ToString());
        json.WriteString("agent", run.Agent);
        json.WriteString("tenant", run.Tenant);
        json.WriteString("status", Words.Of(run.Status));
        json.WriteString("waiting", Words.Of(run.Waiting));
        json.WriteString("paused", Words.Of(run.Paused));
        json.WriteString("created_at", run.CreatedAt);
        json.WriteString("updated_at", run.UpdatedAt);
        Time(json, "ended_at", run.EndedAt);
        Time(json, "due_at", run.DueAt);
        json.WriteString("owner", run.Owner?.ToString());
        json.WriteNumber("epoch", run.Epoch);
        json.WriteNumber("last_seq", run.LastSeq);
        json.WriteString("parent", run.Parent?.ToString());
        json.WriteNumber("depth", run.Depth);
        json.WriteNumber("suspicion", run.Suspicion);
        json.WriteNumber("lone_crashes", run.LoneCrashes);
        json.WriteString("detail", run.Summary.Detail);
        json.WriteNumber("steps", run.Summary.Steps);
        json.WriteNumber("tool_calls", run.Summary.ToolCalls);
        json.WriteNumber("input_tokens", run.Summary.InputTokens);
        json.WriteNumber("output_tokens", run.Summary.OutputTokens);
        json.WriteString("workspace_root", run.Summary.WorkspaceRoot);
        json.WriteString("failure", run.Summary.Failure is { } failure ? $"{failure.Code}: {failure.Message}" : null);
        Budget(json, "usd", run.Money, Money.Text);
        Budget(json, "tokens", run.Tokens, tokens => BudgetDimensions.Text(LimitDimension.Tokens, tokens));
        json.WriteEndObject();
    }

    private static void Budget(Utf8JsonWriter json, string name, BudgetState state, Func<long, string> text)
    {
        json.WriteStartObject(name);
        json.WriteString("cap", state.Cap is { } cap ? text(cap) : null);
        json.WriteString("spent", text(state.Spent));
        json.WriteString("held", text(state.Held));
        json.WriteString("in_doubt", text(state.InDoubt));
        json.WriteEndObject();
    }

    private static void Input(Utf8JsonWriter json, InboxInput input)
    {
        json.WriteStartObject();
        json.WriteString("kind", Words.Of(input.Kind));
        json.WriteString("at", input.At);
        json.WriteNumber("bytes", input.Payload.Length);
        json.WriteEndObject();
    }

    private static void Waste(Utf8JsonWriter json, WasteRow row)
    {
        json.WriteStartObject();
        json.WriteString("step", row.StepKey);
        json.WriteNumber("epoch", row.Epoch);
        json.WriteString("usd", Money.Text(row.NanoUsd));
        json.WriteNumber("tokens", row.Tokens);
        json.WriteString("cause", row.Cause);
        json.WriteString("at", row.At);
        json.WriteEndObject();
    }

    private async Task EntryAsync(Utf8JsonWriter json, ReadEntry read, bool payloads, CancellationToken cancellationToken)
    {
        var entry = read.Stored;
        json.WriteStartObject();
        json.WriteNumber("seq", entry.Seq);
        json.WriteNumber("epoch", entry.Epoch);
        json.WriteString("at", entry.At);
        json.WriteString("kind", Words.Of(entry.Kind));
        json.WriteString("scope", entry.Scope);
        json.WriteString("key", entry.Key);
        json.WriteNumber("attempt", entry.Attempt);
        json.WriteString("chain", entry.Chain.IsEmpty ? null : Convert.ToHexStringLower(entry.Chain.Span));
        Content(json, "body", read.Body);
        json.WriteString("blob", entry.Blob);
        json.WriteNumber("payload_bytes", entry.Payload?.Length ?? 0);
        if (payloads && await PayloadAsync(entry, cancellationToken) is { } payload)
            Content(json, "payload", payload);
        json.WriteEndObject();
    }

    private async Task<ReadOnlyMemory<byte>?> PayloadAsync(JournalEntry entry, CancellationToken cancellationToken)
    {
        // Where the body is the blob, it has been written as the body.
        if (entry.Blob is null || entry.Body.IsEmpty)
            return entry.Payload;
        try
        {
            return await blobs.GetAsync(entry.Blob, cancellationToken);
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DatabaseCorrupt)
        {
            return null;
        }
    }

    /// <summary>JSON as it is; what is none, as the bytes that it is.</summary>
    private static void Content(Utf8JsonWriter json, string name, ReadOnlyMemory<byte> content)
    {
        try
        {
            using var document = JsonDocument.Parse(content);
            json.WritePropertyName(name);
            document.WriteTo(json);
        }
        catch (JsonException)
        {
            json.WriteBase64String(name + "_base64", content.Span);
        }
    }

    private static void Time(Utf8JsonWriter json, string name, DateTimeOffset? at)
    {
        if (at is { } time)
            json.WriteString(name, time);
        else
            json.WriteNull(name);
    }
}
