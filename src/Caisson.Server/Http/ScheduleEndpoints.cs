using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Schedules;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Put, find, list, steer and remove schedules.</summary>
internal sealed class ScheduleEndpoints(ScheduleBook schedules, Runs runs, Engine engine)
{
    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/schedules", ListAsync);
        routes.MapPut("/v1/schedules/{name}", PutAsync);
        routes.MapGet("/v1/schedules/{name}", GetAsync);
        routes.MapDelete("/v1/schedules/{name}", RemoveAsync);
        routes.MapPost("/v1/schedules/{name}/pause", http => SteerAsync(http, schedules.PauseAsync));
        routes.MapPost("/v1/schedules/{name}/resume", http => SteerAsync(http, schedules.ResumeAsync));
        routes.MapPost("/v1/schedules/{name}/trigger", TriggerAsync);
    }

    private async Task ListAsync(HttpContext http)
    {
        Requests.OnlyQuery(http);
        await Views.WriteAsync(http, StatusCodes.Status200OK, new ScheduleList(await schedules.ListAsync(http.RequestAborted)), ScheduleJson.Default.ScheduleList);
    }

    private async Task PutAsync(HttpContext http)
    {
        var spec = await Requests.BodyAsync<ScheduleSpec>(http);
        if (spec.Manifest is null || spec.Input is null)
            throw new BadHttpRequestException($"the body lacks the key '{(spec.Manifest is null ? "manifest" : "input")}'");
        await AnswerAsync(http, await schedules.PutAsync(Name(http), spec, http.RequestAborted));
    }

    private async Task GetAsync(HttpContext http)
    {
        if (await schedules.FindAsync(Name(http), http.RequestAborted) is { } found)
            await Views.WriteAsync(http, StatusCodes.Status200OK, found, ScheduleJson.Default.ScheduleView);
        else
            await NotFoundAsync(http);
    }

    private async Task RemoveAsync(HttpContext http)
    {
        if (await schedules.RemoveAsync(Name(http), http.RequestAborted))
            http.Response.StatusCode = StatusCodes.Status204NoContent;
        else
            await NotFoundAsync(http);
    }

    private static async Task SteerAsync(HttpContext http, Func<string, CancellationToken, Task<ScheduleOutcome>> steer) =>
        await AnswerAsync(http, await steer(Name(http), http.RequestAborted));

    private async Task TriggerAsync(HttpContext http)
    {
        if (engine.Draining)
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.Draining, "the server is stopping and takes no new runs: try again when it is back", Retryable: true));
            return;
        }

        switch (await schedules.TriggerAsync(Name(http), Requests.IdempotencyKey(http), http.RequestAborted))
        {
            case CreateRunOutcome.Accepted accepted:
                var run = await runs.FindAsync(accepted.Run, http.RequestAborted) ?? throw new CaissonException(ErrorCodes.Internal, $"run {accepted.Run} is gone");
                http.Response.Headers.Location = $"/v1/runs/{accepted.Run}";
                await Views.WriteAsync(http, accepted.Existing ? StatusCodes.Status200OK : StatusCodes.Status201Created, Views.Of(run), ApiJson.Default.RunView);
                break;
            case CreateRunOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
            default:
                await NotFoundAsync(http);
                break;
        }
    }

    private static async Task AnswerAsync(HttpContext http, ScheduleOutcome outcome)
    {
        switch (outcome)
        {
            case ScheduleOutcome.Done done:
                await Views.WriteAsync(http, done.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK, done.Schedule, ScheduleJson.Default.ScheduleView);
                break;
            case ScheduleOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
            default:
                await NotFoundAsync(http);
                break;
        }
    }

    private static Task NotFoundAsync(HttpContext http) =>
        Problems.WriteAsync(http, new Failure(ErrorCodes.ScheduleNotFound, $"there is no schedule '{Name(http)}': 'caisson schedule list' lists them"));

    private static string Name(HttpContext http) => Requests.Route(http, "name");
}
