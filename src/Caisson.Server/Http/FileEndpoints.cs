using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;

namespace Caisson.Server.Http;

/// <summary>Files of a run's workspace as of its last completed step. They are somebody else's: attachments only, never shown by a browser.</summary>
internal sealed class FileEndpoints(Runs runs, RunEndpoints finder)
{
    private const int MaxListed = 10_000;

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/runs/{run}/files", http => finder.WithRunAsync(http, run => ListAsync(http, run)));
        routes.MapGet("/v1/runs/{run}/files/{**path}", http => finder.WithRunAsync(http, run => ReadAsync(http, run)));
    }

    private async Task ListAsync(HttpContext http, RunId run)
    {
        var files = await runs.ListFilesAsync(run, MaxListed, http.RequestAborted);
        await Views.WriteAsync(http, StatusCodes.Status200OK, [.. files.Select(f => new WorkspaceFileView(f.Name, f.Kind, f.Size))], ApiJson.Default.IReadOnlyListWorkspaceFileView);
    }

    private async Task ReadAsync(HttpContext http, RunId run)
    {
        var path = Requests.Route(http, "path");
        if (await runs.ReadFileAsync(run, path, http.RequestAborted) is not { } content)
        {
            await Problems.WriteAsync(http, StatusCodes.Status404NotFound, ErrorCodes.RequestInvalid,
                $"run {run} has no regular file '{path}' in its workspace: 'caisson get {run} --files' lists them");
            return;
        }

        await SendAsync(http, path, content);
    }

    internal static async Task SendAsync(HttpContext http, string path, ReadOnlyMemory<byte> content)
    {
        SetAttachment(http, path[(path.LastIndexOf('/') + 1)..], "application/octet-stream");
        http.Response.ContentLength = content.Length;
        await http.Response.Body.WriteAsync(content, http.RequestAborted);
    }

    internal static void SetAttachment(HttpContext http, string name, string type)
    {
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(name);
        http.Response.Headers.ContentDisposition = disposition.ToString();
        http.Response.Headers.ContentSecurityPolicy = "sandbox; default-src 'none'";
        http.Response.ContentType = type;
    }
}
