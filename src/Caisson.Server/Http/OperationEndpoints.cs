using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>What people tell runs: signals, decisions, outcomes, retries; and forks.</summary>
internal sealed class OperationEndpoints(RunOperations operations, RunEndpoints finder, Engine engine)
{
    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/runs/{run}/signals/{name}", SignalAsync);
        routes.MapGet("/v1/approvals", ApprovalsAsync);
        routes.MapGet("/v1/runs/{run}/approvals", http => finder.WithRunAsync(http, run => ApprovalsAsync(http, run)));
        routes.MapPost("/v1/runs/{run}/approvals", DecideAsync);
        routes.MapGet("/v1/runs/{run}/unknowns", http => finder.WithRunAsync(http, run => UnknownsAsync(http, run)));
        routes.MapPost("/v1/runs/{run}/unknowns", ResolveAsync);
        routes.MapPost("/v1/runs/{run}/retry", RetryAsync);
        routes.MapPost("/v1/runs/{run}/fork", ForkAsync);
    }

    /// <summary>The body is the signal's data as it is, so that a webhook can be pointed here.</summary>
    private async Task SignalAsync(HttpContext http)
    {
        Requests.OnlyQuery(http, "by");
        var data = await Requests.JsonBytesAsync(http);
        var (name, by, id) = (Requests.Route(http, "name"), (string?)http.Request.Query["by"], Requests.IdempotencyKey(http));
        await finder.WithRunAsync(http, async run => await AnswerAsync(http, run, await operations.SignalAsync(run, name, data, id, by, http.RequestAborted)));
    }

    private async Task ApprovalsAsync(HttpContext http)
    {
        Requests.OnlyQuery(http, "cursor");
        RunId? before = null;
        if ((string?)http.Request.Query["cursor"] is { } cursor)
            before = RunId.TryParse(cursor, out var id) ? id : throw new BadHttpRequestException("cursor: allowed is the 'next' of the page before");
        await Views.WriteAsync(http, StatusCodes.Status200OK, await operations.AllApprovalsAsync(before, http.RequestAborted), OperationsJson.Default.ApprovalPage);
    }

    private async Task ApprovalsAsync(HttpContext http, RunId run)
    {
        if (await operations.ApprovalsAsync(run, http.RequestAborted) is { } page)
            await Views.WriteAsync(http, StatusCodes.Status200OK, page, OperationsJson.Default.ApprovalPage);
        else
            await RunEndpoints.NotFoundAsync(http, run);
    }

    private async Task DecideAsync(HttpContext http)
    {
        var decision = await Requests.BodyAsync<DecisionRequest>(http);
        await finder.WithRunAsync(http, async run => await AnswerAsync(http, run, await operations.DecideAsync(run, decision, http.RequestAborted)));
    }

    private async Task UnknownsAsync(HttpContext http, RunId run)
    {
        if (await operations.UnknownsAsync(run, http.RequestAborted) is { } unknowns)
            await Views.WriteAsync(http, StatusCodes.Status200OK, unknowns, OperationsJson.Default.UnknownSteps);
        else
            await RunEndpoints.NotFoundAsync(http, run);
    }

    private async Task ResolveAsync(HttpContext http)
    {
        var request = await Requests.BodyAsync<ResolveRequest>(http);
        if (string.IsNullOrEmpty(request.Step) || string.IsNullOrEmpty(request.How))
            throw new BadHttpRequestException($"the body lacks the key '{(string.IsNullOrEmpty(request.Step) ? "step" : "how")}'");
        await finder.WithRunAsync(http, async run => await AnswerAsync(http, run, await operations.ResolveAsync(run, request, http.RequestAborted)));
    }

    private async Task RetryAsync(HttpContext http)
    {
        var request = await Requests.BodyAsync(http, new RetryRequest());
        await finder.WithRunAsync(http, async run => await AnswerAsync(http, run, await operations.RetryAsync(run, request.By, http.RequestAborted)));
    }

    private async Task ForkAsync(HttpContext http)
    {
        var request = await Requests.BodyAsync(http, new ForkRequest());
        if (engine.Draining)
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.Draining, "the server is stopping and takes no new runs: try again when it is back", Retryable: true));
            return;
        }

        var spec = new ForkSpec(request.At, request.Input, request.Limits ?? new RunOverrides(), Effects(request.Effects), request.Admin);
        var key = Requests.IdempotencyKey(http);
        await finder.WithRunAsync(http, async run => await finder.AnswerAsync(http, await operations.ForkAsync(run, spec, key, http.RequestAborted)));
    }

    private async Task AnswerAsync(HttpContext http, RunId run, OperationOutcome outcome)
    {
        switch (outcome)
        {
            case OperationOutcome.Accepted accepted:
                await finder.AnswerAsync(http, run, accepted.Existing ? StatusCodes.Status200OK : StatusCodes.Status202Accepted);
                break;
            case OperationOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
            default:
                await RunEndpoints.NotFoundAsync(http, run);
                break;
        }
    }

    private static ForkEffects Effects(string? text) => text is null
        ? ForkEffects.Live
        : Enum.GetValues<ForkEffects>().Cast<ForkEffects?>().FirstOrDefault(effects => Words.Of(effects!.Value) == text)
            ?? throw new BadHttpRequestException($"effects: found '{text}', allowed are {string.Join(", ", Enum.GetValues<ForkEffects>().Select(Words.Of))}");
}
