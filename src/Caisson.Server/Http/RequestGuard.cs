using System.Net;
using Caisson.Contracts;
using Microsoft.AspNetCore.Http;

namespace Caisson.Server.Http;

/// <summary>
/// Keeps web pages out. A page in the operator's browser can make the browser call loopback: by a foreign name that
/// resolves to it (the Host header tells), or from its own origin (the Origin header tells). Programs send neither.
/// </summary>
internal static class RequestGuard
{
    internal static async Task CheckAsync(HttpContext http, RequestDelegate next)
    {
        var headers = http.Response.Headers;
        headers.XContentTypeOptions = "nosniff";
        headers.CacheControl = "no-store";
        if (!IsLoopback(http.Request.Host.Host))
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.NotAllowed, "the Host header names another machine: this server answers to localhost, 127.0.0.1 and [::1] only"));
            return;
        }

        var origins = http.Request.Headers.Origin;
        if (origins.Count > 0 && !(origins.Count == 1 && IsOwn(origins[0], http.Request)))
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.NotAllowed, "the request comes from a web page of another origin: this API is for programs"));
            return;
        }

        await next(http);
    }

    private static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    private static bool IsOwn(string? origin, HttpRequest request) =>
        string.Equals(origin, $"{request.Scheme}://{request.Host.Value}", StringComparison.OrdinalIgnoreCase);
}
