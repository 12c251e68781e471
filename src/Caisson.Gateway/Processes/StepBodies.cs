using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;
using Caisson.Core.Processes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Caisson.Gateway.Processes;

internal sealed record StepBody(JsonElement? Input, string? Effect, string? Key, string? OnUnknown);

internal sealed record CompleteBody(string? Token, JsonElement? Result, CompleteError? Error);

internal sealed record CompleteError(string? Message, string? Code, bool? Retryable);

internal sealed record HeartbeatBody(string? Token, string? Note);

internal sealed record SleepBody(string? Name, double? Seconds, DateTimeOffset? Until);

internal sealed record SignalBody(double? Timeout);

internal sealed record ChildBody(string? Agent, string? Manifest, string? Input, string? Key, bool Detach, bool Wait);

/// <summary>A request that is wrong: one line says how.</summary>
internal sealed class StepRequestException(int status, string message) : Exception(message)
{
    public int Status => status;

    public ProgramAnswer.Refused Answer { get; } = new(new Failure(status == StatusCodes.Status413PayloadTooLarge ? ErrorCodes.PayloadTooLarge : ErrorCodes.RequestInvalid, message));

    public static StepRequestException Of(string message) => new(StatusCodes.Status400BadRequest, message);
}

/// <summary>Requests and answers of the API for programs, as JSON.</summary>
internal static class StepBodies
{
    public const string Json = "application/json";

    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static JsonElement Null { get; } = JsonElement.Parse("null");

    /// <summary>An empty body is an empty object.</summary>
    public static async Task<T> ReadAsync<T>(HttpContext http, int most, JsonTypeInfo<T> type)
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = most;
        using var body = new MemoryStream();
        try
        {
            await http.Request.Body.CopyToAsync(body, http.RequestAborted);
        }
        catch (BadHttpRequestException e) when (e.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw new StepRequestException(StatusCodes.Status413PayloadTooLarge, $"a request may have {most >> 20} MiB: write large results to a file, and record where it is");
        }

        try
        {
            return JsonSerializer.Deserialize(body.Length == 0 ? "{}"u8 : body.GetBuffer().AsSpan(0, (int)body.Length), type)
                ?? throw StepRequestException.Of("the body is a JSON object");
        }
        catch (JsonException problem)
        {
            throw StepRequestException.Of(PlainText.Line(problem.Message, 300));
        }
    }

    public static int StatusOf(ProgramAnswer answer) => (answer as ProgramAnswer.Refused)?.Failure.Code switch
    {
        null => StatusCodes.Status200OK,
        ErrorCodes.RunNotFound => StatusCodes.Status404NotFound,
        ErrorCodes.StepStale or ErrorCodes.Drift => StatusCodes.Status409Conflict,
        _ => StatusCodes.Status400BadRequest,
    };

    public static byte[] Write(ProgramAnswer answer)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, Plain))
        {
            json.WriteStartObject();
            Write(json, answer);
            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ProgramAnswer answer)
    {
        switch (answer)
        {
            case ProgramAnswer.Recorded recorded:
                Raw(json, "recorded", recorded.Result.Span);
                break;
            case ProgramAnswer.Failed failed:
                Write(json, "failed", failed.Failure);
                break;
            case ProgramAnswer.Run run:
                json.WriteBoolean("run", true);
                json.WriteString("token", run.Token);
                json.WriteString("idempotency_key", run.IdempotencyKey);
                json.WriteNumber("attempt", run.Attempt);
                break;
            case ProgramAnswer.Signalled { Signal: { } signal }:
                json.WriteStartObject("signal");
                json.WriteString("name", signal.Name);
                Raw(json, "data", System.Text.Encoding.UTF8.GetBytes(signal.Payload));
                json.WriteString("by", signal.By);
                json.WriteEndObject();
                break;
            case ProgramAnswer.Signalled:
                json.WriteNull("signal");
                break;
            case ProgramAnswer.Spawned spawned:
                json.WriteString("child", spawned.Child);
                break;
            case ProgramAnswer.ChildEnded ended:
                json.WriteString("child", ended.Child);
                json.WriteString("status", JsonNamingPolicy.SnakeCaseLower.ConvertName(ended.Outcome.Status.ToString()));
                json.WriteString("result", ended.Outcome.Result);
                if (ended.Outcome.Failure is { } failure)
                    Write(json, "failure", failure);
                break;
            case ProgramAnswer.Refused refused:
                Write(json, "error", refused.Failure);
                break;
        }
    }

    private static void Write(Utf8JsonWriter json, string name, Failure failure)
    {
        json.WriteStartObject(name);
        json.WriteString("code", failure.Code);
        json.WriteString("message", failure.Message);
        json.WriteEndObject();
    }

    /// <summary>JSON that was checked when it was taken in. A step that a person marked as done may have none.</summary>
    private static void Raw(Utf8JsonWriter json, string name, ReadOnlySpan<byte> value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value.IsEmpty ? "null"u8 : value, skipInputValidation: true);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(StepBody))]
[JsonSerializable(typeof(CompleteBody))]
[JsonSerializable(typeof(HeartbeatBody))]
[JsonSerializable(typeof(SleepBody))]
[JsonSerializable(typeof(SignalBody))]
[JsonSerializable(typeof(ChildBody))]
internal sealed partial class StepJson : JsonSerializerContext;
