using Caisson.Contracts;
using Caisson.Core.Operations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Nodes of the budget tree: <c>tenant:NAME</c>, or a run by <c>run:ID</c>, its id, or the beginning of it.</summary>
internal sealed class BudgetEndpoints(RunOperations operations, RunEndpoints finder)
{
    private const string Tenant = "tenant:";
    private const string Run = "run:";

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/budgets/{node}", GetAsync);
        routes.MapPut("/v1/budgets/{node}", SetAsync);
        routes.MapGet("/v1/runs/{run}/waste", http => finder.WithRunAsync(http, run => WasteAsync(http, run)));
    }

    private async Task GetAsync(HttpContext http)
    {
        var node = Requests.Route(http, "node");
        if (TenantOf(node) is { } tenant)
            await AnswerAsync(http, StatusCodes.Status200OK, await operations.TenantBudgetAsync(tenant, http.RequestAborted));
        else
            await finder.WithRunAsync(http, RunOf(node), async run => await AnswerAsync(http, StatusCodes.Status200OK, await operations.RunBudgetAsync(run, http.RequestAborted)));
    }

    private async Task SetAsync(HttpContext http)
    {
        var node = Requests.Route(http, "node");
        var change = await Requests.BodyAsync<BudgetChangeRequest>(http);
        if (change.Caps is null)
            throw new BadHttpRequestException("the body lacks the key 'caps'");
        if (TenantOf(node) is { } tenant)
        {
            await AnswerAsync(http, await operations.SetTenantCapsAsync(tenant, change.Caps, http.RequestAborted), StatusCodes.Status200OK,
                () => operations.TenantBudgetAsync(tenant, http.RequestAborted));
            return;
        }

        // A run's owner takes the change up next: what is answered is what is so now.
        await finder.WithRunAsync(http, RunOf(node), async run => await AnswerAsync(http, await operations.SetRunCapsAsync(run, change.Caps, change.By, http.RequestAborted),
            StatusCodes.Status202Accepted, () => operations.RunBudgetAsync(run, http.RequestAborted)));
    }

    private async Task WasteAsync(HttpContext http, RunId run)
    {
        if (await operations.WasteAsync(run, http.RequestAborted) is { } waste)
            await Views.WriteAsync(http, StatusCodes.Status200OK, waste, OperationsJson.Default.WasteList);
        else
            await RunEndpoints.NotFoundAsync(http, run);
    }

    private static async Task AnswerAsync(HttpContext http, OperationOutcome outcome, int status, Func<Task<BudgetOutcome>> read)
    {
        switch (outcome)
        {
            case OperationOutcome.Accepted:
                await AnswerAsync(http, status, await read());
                break;
            case OperationOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
            default:
                await RunEndpoints.NotFoundAsync(http, RunOf(Requests.Route(http, "node")));
                break;
        }
    }

    private static Task AnswerAsync(HttpContext http, int status, BudgetOutcome outcome) => outcome switch
    {
        BudgetOutcome.Found found => Views.WriteAsync(http, status, found.Budget, OperationsJson.Default.BudgetView),
        BudgetOutcome.Refused refused => Problems.WriteAsync(http, refused.Failure),
        _ => RunEndpoints.NotFoundAsync(http, RunOf(Requests.Route(http, "node"))),
    };

    private static string? TenantOf(string node) => node.StartsWith(Tenant, StringComparison.Ordinal) ? node[Tenant.Length..] : null;

    private static string RunOf(string node) => node.StartsWith(Run, StringComparison.Ordinal) ? node[Run.Length..] : node;
}
