using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Sandboxes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>The live boxes: which there are, and one ended. A box is named by its id, its run, or the beginning of either; a fork has no run.</summary>
internal sealed class SandboxEndpoints(ISandboxRegistry boxes)
{
    private const int ShortestPrefix = 4;

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/sandboxes", ListAsync);
        routes.MapGet("/v1/sandboxes/pool", PoolAsync);
        routes.MapDelete("/v1/sandboxes/{box}", http => WithBoxAsync(http, box => RemoveAsync(http, box)));
    }

    /// <summary>Finds the box that the path names, or answers that there is none.</summary>
    internal async Task WithBoxAsync(HttpContext http, Func<ISandbox, Task> act)
    {
        var name = Requests.Route(http, "box").ToLowerInvariant();
        var fits = boxes.List().Where(b => b.State != SandboxState.Ready && (b.Id == name || (name.Length >= ShortestPrefix
            && (b.Id.StartsWith(name, StringComparison.Ordinal) || b.Run?.ToString().StartsWith(name, StringComparison.Ordinal) == true)))).ToList();
        if (fits.Count > 1)
            await Problems.WriteAsync(http, new Failure(ErrorCodes.RunConflict, $"several boxes fit '{name}': give more of the id; 'caisson sandbox list -o wide' shows them whole"));
        else if (fits is not [var one] || boxes.Find(one.Id) is not { } box)
            await Problems.WriteAsync(http, new Failure(ErrorCodes.SandboxNotFound, $"there is no box '{name}' now: 'caisson sandbox list' lists them; a run that has ended, stands paused or has waited for long has none"));
        else
            await act(box);
    }

    private Task ListAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        return Views.WriteAsync(http, StatusCodes.Status200OK, new SandboxesView([.. boxes.List().OrderBy(b => b.Made).Select(Of)]), SandboxJson.Default.SandboxesView);
    }

    private Task PoolAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        var pool = boxes.Pool();
        var shelves = pool.Shelves.Select(s => new SandboxShelfView(s.Provider, s.Image, s.DiskBytes, s.Ready)).ToList();
        return Views.WriteAsync(http, StatusCodes.Status200OK, new SandboxPoolView(pool.Size, pool.Waiting, shelves), SandboxJson.Default.SandboxPoolView);
    }

    /// <summary>Saves the workspace as it is now, whatever its owner does; or answers why not.</summary>
    internal static async Task<WorkspaceRoot?> SaveAsync(ISandbox box, HttpContext http)
    {
        await using var visit = box.Visit();
        switch (await box.SaveWorkspaceAsync(http.RequestAborted))
        {
            case WorkspaceSaveOutcome.Saved saved:
                return saved.Root;
            case WorkspaceSaveOutcome.Failed failed:
                await Problems.WriteAsync(http, failed.Failure);
                return null;
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private static async Task RemoveAsync(HttpContext http, ISandbox box)
    {
        Requests.OnlyQuery(http);
        await box.DestroyAsync();
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    internal static SandboxView Of(SandboxInfo box) => new(
        box.Id, box.Provider, box.Run?.ToString(), box.Epoch, box.State, box.Image, box.Made, box.Stats.MemoryBytes, box.Stats.Cpu.TotalSeconds, box.Stats.Processes)
    {
        Origin = box.Origin is { } origin ? new SandboxOriginView(origin.Snapshot, origin.Box, origin.Run?.ToString(), origin.Seq) : null,
    };
}
