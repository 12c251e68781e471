using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>Create, find, list and steer runs. Handlers take the bare context: no reflection stands between start and first answer.</summary>
internal sealed class RunEndpoints(Runs runs, Engine engine)
{
    // Without accounts everyone who reaches loopback is the same operator.
    private const string Operator = "operator";

    private const int DefaultPage = 50;
    private const int MaxPage = 500;

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/runs", CreateAsync);
        routes.MapGet("/v1/runs", ListAsync);
        routes.MapGet("/v1/runs/{run}", http => WithRunAsync(http, id => AnswerAsync(http, id, StatusCodes.Status200OK)));
        routes.MapPost("/v1/runs/{run}/cancel", http => PostAsync(http, runs.CancelAsync));
        routes.MapPost("/v1/runs/{run}/pause", http => PostAsync(http, runs.PauseAsync));
        routes.MapPost("/v1/runs/{run}/resume", ResumeAsync);
    }

    /// <summary>Finds the run that the path names, by id or unique prefix, or answers that there is none.</summary>
    internal Task WithRunAsync(HttpContext http, Func<RunId, Task> act) => WithRunAsync(http, Requests.Route(http, "run"), act);

    internal async Task WithRunAsync(HttpContext http, string name, Func<RunId, Task> act)
    {
        switch (await runs.ResolveAsync(name.ToLowerInvariant(), http.RequestAborted))
        {
            case ResolveOutcome.Found found:
                await act(found.Run);
                break;
            case ResolveOutcome.Ambiguous:
                await Problems.WriteAsync(http, new Failure(ErrorCodes.RunConflict, $"several runs begin with '{name}': give more of the id"));
                break;
            default:
                await Problems.WriteAsync(http, new Failure(ErrorCodes.RunNotFound, $"there is no run '{name}': 'caisson ps --all' lists them"));
                break;
        }
    }

    private async Task CreateAsync(HttpContext http)
    {
        var body = await Requests.BodyAsync<CreateRunRequest>(http);
        if (body.Manifest is null || body.Input is null)
            throw new BadHttpRequestException($"the body lacks the key '{(body.Manifest is null ? "manifest" : "input")}'");
        if (engine.Draining)
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.Draining, "the server is stopping and takes no new runs: try again when it is back", Retryable: true));
            return;
        }

        var command = new CreateRun(body.Manifest, body.ManifestFile ?? "manifest", body.Input, body.Limits ?? new RunOverrides(), body.Labels ?? new Dictionary<string, string>(), Requests.IdempotencyKey(http)) { Workspace = body.Workspace };
        await AnswerAsync(http, await runs.CreateAsync(command, http.RequestAborted));
    }

    internal async Task AnswerAsync(HttpContext http, CreateRunOutcome outcome)
    {
        switch (outcome)
        {
            case CreateRunOutcome.Accepted accepted:
                http.Response.Headers.Location = Requests.RunPath(http, accepted.Run);
                await AnswerAsync(http, accepted.Run, accepted.Existing ? StatusCodes.Status200OK : StatusCodes.Status201Created);
                break;
            case CreateRunOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
        }
    }

    private async Task ListAsync(HttpContext http)
    {
        Requests.OnlyQuery(http, "status", "agent", "cursor", "limit");
        var query = http.Request.Query;
        var statuses = query["status"].SelectMany(s => (s ?? "").Split(',')).Select(Status).ToList();
        RunId? before = null;
        if ((string?)query["cursor"] is { } cursor)
            before = RunId.TryParse(cursor, out var id) ? id : throw new BadHttpRequestException("cursor: allowed is the 'next' of the page before");
        var limit = (int)Math.Max(1, Requests.Number(http, "limit", DefaultPage, MaxPage));

        // One more than asked for tells whether there is a next page.
        var found = await runs.ListAsync(new RunFilter(statuses.Count == 0 ? null : statuses, query["agent"], before, limit + 1), http.RequestAborted);
        var page = new RunPage([.. found.Take(limit).Select(Views.Of)], found.Count > limit ? found[limit - 1].Id.ToString() : null);
        await Views.WriteAsync(http, StatusCodes.Status200OK, page, ApiJson.Default.RunPage);
    }

    private async Task PostAsync(HttpContext http, Func<RunId, string, string?, CancellationToken, Task<InputOutcome>> post)
    {
        var body = await Requests.BodyAsync(http, new OperatorRequest());
        await WithRunAsync(http, async run => await AnswerAsync(http, run, await post(run, Operator, body.Reason, http.RequestAborted)));
    }

    private async Task ResumeAsync(HttpContext http)
    {
        var raise = await Requests.BodyAsync(http, new RunOverrides());
        await WithRunAsync(http, async run => await AnswerAsync(http, run, await runs.ResumeAsync(run, Operator, raise, http.RequestAborted)));
    }

    private async Task AnswerAsync(HttpContext http, RunId run, InputOutcome outcome)
    {
        switch (outcome)
        {
            case InputOutcome.Accepted:
                await AnswerAsync(http, run, StatusCodes.Status202Accepted);
                break;
            case InputOutcome.Refused refused:
                await Problems.WriteAsync(http, refused.Failure);
                break;
            default:
                await NotFoundAsync(http, run);
                break;
        }
    }

    /// <summary>A run that was there a moment ago.</summary>
    internal static Task NotFoundAsync<T>(HttpContext http, T run) => Problems.WriteAsync(http, new Failure(ErrorCodes.RunNotFound, $"there is no run '{run}'"));

    internal async Task AnswerAsync(HttpContext http, RunId run, int status)
    {
        var record = await runs.FindAsync(run, http.RequestAborted)
            ?? throw new CaissonException(ErrorCodes.Internal, $"run {run} is gone");
        await Views.WriteAsync(http, status, Views.Of(record), ApiJson.Default.RunView);
    }

    private static RunStatus Status(string text)
    {
        foreach (var status in Enum.GetValues<RunStatus>())
        {
            if (Words.Of(status) == text)
                return status;
        }

        throw new BadHttpRequestException($"status: found '{text}', allowed are {string.Join(", ", Enum.GetValues<RunStatus>().Select(Words.Of))}");
    }
}
