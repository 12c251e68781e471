using System.Text.Json;
using Caisson.Contracts;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Http;

/// <summary>Every error leaves as <c>application/problem+json</c> with a stable code.</summary>
internal static class Problems
{
    internal static Task WriteAsync(HttpContext http, Failure failure) =>
        WriteAsync(http, StatusOf(failure.Code), failure.Code, failure.Message);

    internal static async Task WriteAsync(HttpContext http, int status, string code, string detail)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = ApiNames.Problem;
        var problem = new Problem(Title(code), status, code, detail);
        await http.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(problem, ApiJson.Default.Problem), http.RequestAborted);
    }

    /// <summary>Turns whatever escapes an endpoint, and answers without a body, into problems.</summary>
    internal static async Task GuardAsync(HttpContext http, RequestDelegate next, ILogger log)
    {
        try
        {
            await next(http);
            if (http.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null })
                await WriteAsync(http, http.Response.StatusCode, ErrorCodes.RequestInvalid, $"{http.Request.Method} {http.Request.Path} is no part of this API: see /v1/runs");
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // The caller left: there is nobody to answer.
        }
        catch (Exception e) when (!http.Response.HasStarted)
        {
            switch (e)
            {
                case BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge }:
                    await WriteAsync(http, new Failure(ErrorCodes.PayloadTooLarge, $"the request's body is larger than {Requests.MaxBodyBytes} bytes: put large data into files"));
                    break;
                case BadHttpRequestException bad:
                    await WriteAsync(http, bad.StatusCode, ErrorCodes.RequestInvalid, bad.Message);
                    break;
                case JsonException json:
                    await WriteAsync(http, new Failure(ErrorCodes.RequestInvalid, $"the request's body: {JsonMessage(json)}"));
                    break;
                case CaissonException known:
                    await WriteAsync(http, known.ToFailure());
                    break;
                default:
                    log.LogError(e, "{Method} {Path} failed", http.Request.Method, http.Request.Path);
                    await WriteAsync(http, new Failure(ErrorCodes.Internal, "the server failed at this request; its log says why"));
                    break;
            }
        }
    }

    private static string JsonMessage(JsonException e)
    {
        // The framework appends the place in its own words, and names .NET types; neither helps a caller.
        var message = e.Message.Split(" Path:", 2)[0].Replace("The JSON property '", "key '", StringComparison.Ordinal);
        var type = message.IndexOf(" could not be mapped to any .NET member", StringComparison.Ordinal);
        if (type >= 0)
            message = message[..type] + " is unknown";
        return e.LineNumber is { } line ? $"{message} (at {e.Path}, line {line + 1})" : message;
    }

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.ManifestInvalid or ErrorCodes.InputInvalid or ErrorCodes.RequestInvalid or ErrorCodes.ModelUnknown or ErrorCodes.ModelUnpriced
            or ErrorCodes.ScheduleInvalid or ErrorCodes.ToolArguments => 400,
        ErrorCodes.NotAllowed => 403,
        ErrorCodes.RunNotFound or ErrorCodes.AgentNotFound or ErrorCodes.ScheduleNotFound or ErrorCodes.SandboxNotFound or ErrorCodes.SnapshotNotFound => 404,
        ErrorCodes.RunEnded or ErrorCodes.RunConflict or ErrorCodes.IdempotencyMismatch or ErrorCodes.BudgetExceeded or ErrorCodes.BlobMissing or ErrorCodes.KillSwitch
            or ErrorCodes.SandboxLost or ErrorCodes.SandboxOom or ErrorCodes.SandboxPids or ErrorCodes.SnapshotRefused => 409,
        ErrorCodes.PayloadTooLarge => 413,
        ErrorCodes.SandboxUnavailable => 422,
        ErrorCodes.Draining or ErrorCodes.StorageFailed => 503,
        ErrorCodes.DiskFull or ErrorCodes.SandboxDisk => 507,
        _ => 500,
    };

    private static string Title(string code)
    {
        var words = code.Replace('_', ' ');
        return char.ToUpperInvariant(words[0]) + words[1..];
    }
}
