using System.Net;
using Caisson.Contracts;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;

namespace Caisson.Server.Http;

/// <summary>
/// Keeps web pages out. A page in the operator's browser can make the browser call loopback: by a foreign name that
/// resolves to it (the Host header tells), or from its own origin (the Origin header tells). Programs send neither.
/// In somebody's own application, which may listen anywhere, other machines are kept out as well, unless the
/// application says with authorization of its own who may come in.
/// </summary>
internal static class RequestGuard
{
    internal static async Task CheckAsync(HttpContext http, RequestDelegate next)
    {
        var headers = http.Response.Headers;
        headers.XContentTypeOptions = "nosniff";
        headers.CacheControl = "no-store";
        if (!IsAuthorized(http))
        {
            if (!IsLoopback(http.Request.Host.Host))
            {
                await Problems.WriteAsync(http, new Failure(ErrorCodes.NotAllowed, "the Host header names another machine: this server answers to localhost, 127.0.0.1 and [::1] only"));
                return;
            }

            if (http.Connection.RemoteIpAddress is { } caller && !IPAddress.IsLoopback(caller))
            {
                await Problems.WriteAsync(http, new Failure(ErrorCodes.NotAllowed, "the request comes from another machine, and nothing says who may come in: MapCaisson().RequireAuthorization() does"));
                return;
            }
        }

        var origins = http.Request.Headers.Origin;
        if (origins.Count > 0 && !(origins.Count == 1 && IsOwn(origins[0], http.Request)))
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.NotAllowed, "the request comes from a web page of another origin: this API is for programs"));
            return;
        }

        await next(http);
    }

    /// <summary>Whether the application's own authorization has let the request in.</summary>
    private static bool IsAuthorized(HttpContext http) =>
        http.GetEndpoint()?.Metadata is { } metadata && metadata.GetMetadata<IAuthorizeData>() is not null && metadata.GetMetadata<IAllowAnonymous>() is null;

    private static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    private static bool IsOwn(string? origin, HttpRequest request) =>
        string.Equals(origin, $"{request.Scheme}://{request.Host.Value}", StringComparison.OrdinalIgnoreCase);
}
