using Caisson.Contracts;
using Caisson.Sandboxes.Workspaces;
using Caisson.Server.Copying;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Takes the files that a run begins with, as a tar archive, and answers the root to create it with.</summary>
internal sealed class WorkspaceEndpoints(WorkspaceUpload upload)
{
    internal void Map(IEndpointRouteBuilder routes) => routes.MapPost("/v1/workspaces", UploadAsync);

    private async Task UploadAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = null;
        await using var body = await Spooled.TakeAsync(http, SandboxCopyLimits.Bytes);
        var failure = body is null ? new Failure(ErrorCodes.PayloadTooLarge, $"the archive is larger than {SandboxCopyLimits.Bytes >> 20} MiB: leave out what the program does not need") : await CheckAsync(body, http.RequestAborted);
        if (failure is not null)
        {
            await Problems.WriteAsync(http, failure);
            return;
        }

        body!.Position = 0;
        var root = await upload.SaveAsync(body, name => ArchivePath.Check(name).Path ?? "", http.RequestAborted);
        await Views.WriteAsync(http, StatusCodes.Status201Created, new SavedWorkspaceView(root.Hash), SandboxJson.Default.SavedWorkspaceView);
    }

    private static async Task<Failure?> CheckAsync(Stream archive, CancellationToken cancellationToken)
    {
        try
        {
            return await ArchiveCheck.OfAsync(archive, cancellationToken);
        }
        catch (Exception e) when (ArchiveCheck.IsDamage(e))
        {
            return ArchiveCheck.Damaged;
        }
    }
}
