using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Server.Copying;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>
/// Copies out of and into a live box. Out: from the workspace as it is saved for this, so that no link of the box is
/// followed on this host; a file as it is, a folder as a tar archive. In: from the inside, by the box's own agent, so
/// that a link leads nowhere that the box's own commands could not reach.
/// </summary>
internal sealed class SandboxFileEndpoints(SandboxEndpoints finder, IWorkspaceStore workspaces)
{
    private const string Workspace = "/workspace";

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/sandboxes/{box}/files/{**path}", http => finder.WithBoxAsync(http, box => ReadAsync(http, box)));
        routes.MapPut("/v1/sandboxes/{box}/files/{**path}", http => finder.WithBoxAsync(http, box => WriteAsync(http, box)));
    }

    private async Task ReadAsync(HttpContext http, ISandbox box)
    {
        Requests.OnlyQuery(http);
        var path = PathOf(http);
        if (await SandboxEndpoints.SaveAsync(box, http) is not { } root)
            return;
        var nodes = new List<WorkspaceNode>();
        var bytes = 0L;
        await foreach (var node in workspaces.WalkAsync(root, path, http.RequestAborted))
        {
            nodes.Add(node);
            bytes += node.Size;
            if (nodes.Count > SandboxCopyLimits.Entries + 1 || bytes > SandboxCopyLimits.Bytes)
            {
                await Problems.WriteAsync(http, new Failure(ErrorCodes.PayloadTooLarge,
                    $"'{path}' has more than {SandboxCopyLimits.Entries} files or {SandboxCopyLimits.Bytes >> 20} MiB: copy parts of it, or have the box put it into an archive"));
                return;
            }
        }

        switch (nodes)
        {
            case []:
                await Problems.WriteAsync(http, StatusCodes.Status404NotFound, ErrorCodes.RequestInvalid, $"the box has no '{path}' in its workspace, or it lies behind a link: 'caisson sandbox exec {box.Id} -- ls' lists what is there");
                break;
            case [{ Kind: WorkspaceNodeKind.Link } link]:
                await Problems.WriteAsync(http, StatusCodes.Status409Conflict, ErrorCodes.RequestInvalid, $"'{path}' is a link to '{link.Target}', and links are not followed: copy what it leads to");
                break;
            case [{ Kind: WorkspaceNodeKind.File } file]:
                http.Response.Headers[SandboxCopyLimits.ModeHeader] = Convert.ToString(file.Mode, 8);
                await FileEndpoints.SendAsync(http, path, await file.ReadAsync(http.RequestAborted) ?? default);
                break;
            default:
                FileEndpoints.SetAttachment(http, (path.Length == 0 ? "workspace" : path[(path.LastIndexOf('/') + 1)..]) + ".tar", SandboxCopyLimits.ArchiveType);
                await CopyOut.WriteAsync(nodes.Skip(1), http.Response.Body, http.RequestAborted);
                break;
        }
    }

    private static async Task WriteAsync(HttpContext http, ISandbox box)
    {
        Requests.OnlyQuery(http, "archive", "executable");
        var path = PathOf(http);
        var most = Requests.Flag(http, "archive") ? SandboxCopyLimits.Bytes : SandboxCopyLimits.FileBytes;
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = null;
        if (path.Length == 0 && !Requests.Flag(http, "archive"))
            throw new BadHttpRequestException("the path is the workspace itself: name a file in it");

        await using var body = await Spooled.TakeAsync(http, most);
        if (body is null)
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.PayloadTooLarge, $"the body is larger than {most >> 20} MiB: copy it in parts"));
            return;
        }

        await using var visit = box.Visit();
        var copy = new CopyIn(box, path, http.RequestAborted);
        var failure = Requests.Flag(http, "archive") ? await copy.ArchiveAsync(body) : await copy.FileAsync(body, Requests.Flag(http, "executable"));
        if (failure is null)
            http.Response.StatusCode = StatusCodes.Status204NoContent;
        else
            await Problems.WriteAsync(http, failure);
    }

    /// <summary>Below the workspace, also where it is given as the box's commands see it.</summary>
    private static string PathOf(HttpContext http)
    {
        var given = Requests.Route(http, "path");
        var path = given == Workspace || given.StartsWith(Workspace + "/", StringComparison.Ordinal) ? given[Workspace.Length..].TrimStart('/') : given;
        var (clean, complaint) = ArchivePath.Check(path);
        return clean ?? throw new BadHttpRequestException(string.Create(CultureInfo.InvariantCulture, $"the path '{given}' {complaint}: only the workspace is copied, give a path below {Workspace}"));
    }
}
