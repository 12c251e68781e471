using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;
using Microsoft.AspNetCore.Http;

namespace Caisson.Server.Http;

/// <summary>Reads what a request says, and refuses what it should not say.</summary>
internal static class Requests
{
    /// <summary>An input of its largest size with every byte escaped, a manifest, and room.</summary>
    internal const int MaxBodyBytes = 8 << 20;

    // The wire's own options, but a key that nobody knows is a mistake that the caller should hear of.
    private static readonly JsonSerializerOptions Strict = new(ApiJson.Default.Options)
    {
        TypeInfoResolver = JsonTypeInfoResolver.Combine(ApiJson.Default, ScheduleJson.Default, OperationsJson.Default, SandboxJson.Default),
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        AllowDuplicateProperties = false,
    };

    /// <summary>The body, or <paramref name="empty"/> where there is none and that is allowed.</summary>
    internal static async Task<T> BodyAsync<T>(HttpContext http, T? empty = null) where T : class
    {
        var bytes = await JsonBytesAsync(http);
        if (bytes.IsEmpty && empty is not null)
            return empty;
        if (bytes.IsEmpty)
            Json(http);
        return JsonSerializer.Deserialize(bytes.Span, (JsonTypeInfo<T>)Strict.GetTypeInfo(typeof(T)))
            ?? throw new JsonException("found null, allowed is an object");
    }

    /// <summary>The body as it came, which says of itself that it is JSON; or nothing.</summary>
    internal static async Task<ReadOnlyMemory<byte>> JsonBytesAsync(HttpContext http)
    {
        using var bytes = new MemoryStream();
        await http.Request.Body.CopyToAsync(bytes, http.RequestAborted);
        if (bytes.Length > 0)
            Json(http);
        return bytes.GetBuffer().AsMemory(0, (int)bytes.Length);
    }

    internal static string? IdempotencyKey(HttpContext http)
    {
        var keys = http.Request.Headers[ApiNames.IdempotencyKey];
        return keys.Count > 1 ? throw new BadHttpRequestException($"{ApiNames.IdempotencyKey} is given {keys.Count} times, allowed is once") : (string?)keys;
    }

    private static void Json(HttpContext http)
    {
        if (!http.Request.HasJsonContentType())
            throw new BadHttpRequestException("the body must be JSON: send Content-Type: application/json", StatusCodes.Status415UnsupportedMediaType);
    }

    internal static string Route(HttpContext http, string name) => (string?)http.Request.RouteValues[name] ?? "";

    internal static long Number(HttpContext http, string name, long otherwise, long most)
    {
        var text = (string?)http.Request.Query[name];
        if (text is null)
            return otherwise;
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value > most)
            throw new BadHttpRequestException($"{name}: found '{text}', allowed is a whole number from 0 to {most}");
        return value;
    }

    /// <summary>Where a run is, seen from outside: an application may have put the API under a path of its own.</summary>
    internal static string RunPath(HttpContext http, RunId run)
    {
        const string root = "/v1/";
        var path = http.Request.Path.Value ?? root;
        return $"{http.Request.PathBase}{path[..Math.Max(0, path.IndexOf(root, StringComparison.Ordinal))]}{root}runs/{run}";
    }

    internal static bool Flag(HttpContext http, string name) => (string?)http.Request.Query[name] switch
    {
        null or "false" => false,
        "true" => true,
        var other => throw new BadHttpRequestException($"{name}: found '{other}', allowed is true or false"),
    };

    internal static void OnlyQuery(HttpContext http, params ReadOnlySpan<string> known)
    {
        foreach (var key in http.Request.Query.Keys)
        {
            if (!known.Contains(key))
                throw new BadHttpRequestException($"the query has the unknown key '{key}'; known are {string.Join(", ", known!)}");
        }
    }
}
