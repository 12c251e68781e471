using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Snapshots of boxes, and boxes that go on from them.</summary>
internal sealed class SandboxSnapshotEndpoints(SandboxEndpoints finder, ISandboxRegistry boxes, SandboxSnapshots snapshots)
{
    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/sandboxes/{box}/snapshot", http => finder.WithBoxAsync(http, box => TakeAsync(http, box)));
        routes.MapPost("/v1/sandboxes/{box}/fork", http => finder.WithBoxAsync(http, async box => await StartedAsync(http, await snapshots.ForkAsync(box, http.RequestAborted))));
        routes.MapGet("/v1/sandboxes/snapshots", ListAsync);
        routes.MapPost("/v1/sandboxes/snapshots/{snapshot}/fork", async http => await StartedAsync(http, await snapshots.ForkAsync(NameOf(http), http.RequestAborted)));
        routes.MapDelete("/v1/sandboxes/snapshots/{snapshot}", RemoveAsync);
    }

    private async Task TakeAsync(HttpContext http, ISandbox box)
    {
        Requests.OnlyQuery(http, "live");
        switch (await snapshots.TakeAsync(box, Requests.Flag(http, "live"), http.RequestAborted))
        {
            case SnapshotOutcome.Taken taken:
                await Views.WriteAsync(http, StatusCodes.Status201Created, Of(taken.Snapshot), SandboxJson.Default.SandboxSnapshotView);
                break;
            case SnapshotOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
        }
    }

    private async Task ListAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        var all = await snapshots.ListAsync(http.RequestAborted);
        await Views.WriteAsync(http, StatusCodes.Status200OK, new SandboxSnapshotsView([.. all.Select(Of)]), SandboxJson.Default.SandboxSnapshotsView);
    }

    private async Task RemoveAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        if (await snapshots.RemoveAsync(NameOf(http), http.RequestAborted) is { } failure)
            await Problems.WriteAsync(http, failure);
        else
            http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task StartedAsync(HttpContext http, SandboxCreateOutcome outcome)
    {
        switch (outcome)
        {
            case SandboxCreateOutcome.Started started when boxes.List().FirstOrDefault(b => b.Id == started.Sandbox.Id) is { } box:
                await Views.WriteAsync(http, StatusCodes.Status201Created, SandboxEndpoints.Of(box), SandboxJson.Default.SandboxView);
                break;
            case SandboxCreateOutcome.Started started:
                await Problems.WriteAsync(http, new Failure(ErrorCodes.SandboxLost, $"box {started.Sandbox.Id} ended as soon as it had begun: the server's log says why"));
                break;
            case SandboxCreateOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
        }
    }

    private static string NameOf(HttpContext http) => Requests.Route(http, "snapshot").ToLowerInvariant();

    private static SandboxSnapshotView Of(SnapshotInfo s) => new(s.Id, s.IsLive, s.Box, s.Run?.ToString(), s.Seq, s.Root, s.Bytes, s.Made);
}
