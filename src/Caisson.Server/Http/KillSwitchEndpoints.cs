using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Budgets;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Orders of the kill switch, each by what it stops: <c>all</c>, <c>tenant:NAME</c> or <c>agent:NAME</c>.</summary>
internal sealed class KillSwitchEndpoints(KillSwitches kills, Runs runs, TimeProvider clock)
{
    private const string All = "all";
    private const string Tenant = "tenant:";
    private const string Agent = "agent:";

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/kill-switches", ListAsync);
        routes.MapPut("/v1/kill-switches/{target}", OnAsync);
        routes.MapDelete("/v1/kill-switches/{target}", OffAsync);
    }

    private async Task ListAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        await kills.LookAsync(now: true, http.RequestAborted);
        await WriteAsync(http, resumed: 0);
    }

    private async Task OnAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        var (scope, name) = Target(http);
        var request = await Requests.BodyAsync(http, new KillRequest());
        await AnswerAsync(http, await kills.OnAsync(new KillOrder(scope, name, request.By ?? RunOperations.Operator, request.Reason, clock.GetUtcNow()), http.RequestAborted), resumed: 0);
    }

    private async Task OffAsync(HttpContext http)
    {
        Requests.OnlyQuery(http, "resume", "by");
        var (scope, name) = Target(http);
        var (lifted, failure) = await kills.OffAsync(scope, name, http.RequestAborted);

        // Also where the order was lifted before: the answer to that may have been lost, and its runs not yet resumed.
        var resumed = failure is null && Requests.Flag(http, "resume")
            ? await runs.ResumeKilledAsync(scope, name, (string?)http.Request.Query["by"] ?? RunOperations.Operator, http.RequestAborted)
            : 0;
        await AnswerAsync(http, failure, resumed, lifted);
    }

    private Task AnswerAsync(HttpContext http, Failure? failure, int resumed, bool changed = true) =>
        failure is null ? WriteAsync(http, resumed, changed) : Problems.WriteAsync(http, failure);

    private Task WriteAsync(HttpContext http, int resumed, bool changed = false)
    {
        var orders = kills.Current.Orders.Select(order => new KillOrderView(TargetOf(order), order.By, order.Reason, order.At)).ToList();
        return Views.WriteAsync(http, StatusCodes.Status200OK, new KillSwitchView(orders) { Resumed = resumed, Changed = changed }, OperationsJson.Default.KillSwitchView);
    }

    private static (KillScope Scope, string? Name) Target(HttpContext http) => Requests.Route(http, "target") switch
    {
        All => (KillScope.Everything, null),
        var target when target.StartsWith(Tenant, StringComparison.Ordinal) => (KillScope.Tenant, target[Tenant.Length..]),
        var target when target.StartsWith(Agent, StringComparison.Ordinal) => (KillScope.Agent, target[Agent.Length..]),
        var other => throw new BadHttpRequestException($"found '{(other.Length > 60 ? other[..60] : other)}', allowed is all, tenant:NAME or agent:NAME"),
    };

    private static string TargetOf(KillOrder order) => order.Scope switch
    {
        KillScope.Tenant => Tenant + order.Name,
        KillScope.Agent => Agent + order.Name,
        _ => All,
    };
}
