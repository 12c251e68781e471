using Caisson.Contracts;
using Caisson.Core.Operations;
using Caisson.Core.Stores;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Finding out what is going on: why a run stands where it stands, whether its journal is whole, and all of it in one document.</summary>
internal sealed class InspectionEndpoints(RunOperations operations, IEventStore events, RunEndpoints finder)
{
    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/runs/{run}/why", http => finder.WithRunAsync(http, run => WhyAsync(http, run)));
        routes.MapGet("/v1/runs/{run}/egress", http => finder.WithRunAsync(http, run => EgressAsync(http, run)));
        routes.MapGet("/v1/runs/{run}/verify", http => finder.WithRunAsync(http, run => VerifyAsync(http, run)));
        routes.MapGet("/v1/runs/{run}/bundle", http => finder.WithRunAsync(http, run => BundleAsync(http, run)));
    }

    private async Task WhyAsync(HttpContext http, RunId run)
    {
        if (await operations.WhyAsync(run, http.RequestAborted) is { } why)
            await Views.WriteAsync(http, StatusCodes.Status200OK, why, OperationsJson.Default.WhyView);
        else
            await RunEndpoints.NotFoundAsync(http, run);
    }

    private async Task EgressAsync(HttpContext http, RunId run)
    {
        var found = await events.ReadEventsAsync(run, http.RequestAborted);
        var list = new EgressList(run.ToString(), [.. found.Where(e => e.Kind == RunEvent.Egress).Select(e => new EgressView(e.Code, e.Subject, e.Count, e.Sent, e.Received, e.FirstAt, e.LastAt, e.Detail))]);
        await Views.WriteAsync(http, StatusCodes.Status200OK, list, OperationsJson.Default.EgressList);
    }

    private async Task VerifyAsync(HttpContext http, RunId run)
    {
        if (await operations.VerifyAsync(run, http.RequestAborted) is { } report)
            await Views.WriteAsync(http, StatusCodes.Status200OK, report, OperationsJson.Default.VerifyView);
        else
            await RunEndpoints.NotFoundAsync(http, run);
    }

    /// <summary>Written as it is read: a long journal is never in memory as a whole.</summary>
    private async Task BundleAsync(HttpContext http, RunId run)
    {
        Requests.OnlyQuery(http, "payloads");
        var payloads = Requests.Flag(http, "payloads");
        if (!await operations.BundleAsync(run, payloads, http.Response.Body, () => http.Response.ContentType = "application/json; charset=utf-8", http.RequestAborted))
            await RunEndpoints.NotFoundAsync(http, run);
    }
}
