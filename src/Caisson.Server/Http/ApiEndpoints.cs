using Caisson.Server.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Http;

/// <summary>The API, wherever it is served: by the command, or in somebody's own application.</summary>
internal static class ApiEndpoints
{
    /// <param name="stopping">Ends streams, which would hold up a stop for ever.</param>
    internal static void Map(IEndpointRouteBuilder routes, Rooms rooms, TimeProvider clock, ILoggerFactory logs, CancellationToken stopping)
    {
        var finder = new RunEndpoints(rooms.Runs, rooms.Engine);
        finder.Map(routes);
        new JournalEndpoints(rooms.Runs, finder, clock, stopping).Map(routes);
        new FileEndpoints(rooms.Runs, finder).Map(routes);
        new ScheduleEndpoints(rooms.Schedules, rooms.Runs, rooms.Engine).Map(routes);
        new OperationEndpoints(rooms.Operations, finder, rooms.Engine).Map(routes);
        new InspectionEndpoints(rooms.Operations, rooms.Events, finder).Map(routes);
        new BudgetEndpoints(rooms.Operations, finder).Map(routes);
        new KillSwitchEndpoints(rooms.Kills, rooms.Runs, clock).Map(routes);
        var boxes = new SandboxEndpoints(rooms.Boxes);
        boxes.Map(routes);
        new SandboxSnapshotEndpoints(boxes, rooms.Boxes, rooms.Snapshots).Map(routes);
        new SandboxExecEndpoint(boxes, stopping).Map(routes);
        new SandboxShellEndpoint(boxes, logs, clock, stopping).Map(routes);
        new SandboxFileEndpoints(boxes, rooms.Workspaces).Map(routes);
        new WorkspaceEndpoints(rooms.Uploads).Map(routes);
    }
}
