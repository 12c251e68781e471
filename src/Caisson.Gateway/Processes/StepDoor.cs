using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Operations;
using Caisson.Core.Processes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Caisson.Gateway.Processes;

/// <summary>
/// The API for programs that want more than metered calls: durable steps, sleeps, signals and children, under
/// <c>/caisson/v1</c> on the loopback of their box. It reads, bounds and checks; what happens is the engine's.
/// </summary>
internal sealed class StepDoor(TimeProvider clock)
{
    private const string Root = "/caisson";
    private const int MaxBody = 1 << 20;
    private const int MaxName = 200;
    private const int MaxText = 4_000;
    private const int MaxShown = 300;
    private const string Routes = "PUT steps/NAME, POST steps/NAME/complete, PUT heartbeat, POST sleep, POST signals/NAME, POST children, GET children/ID";

    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(366);

    /// <summary>Clients give up on a connection that is silent for minutes.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(15);

    public void MapTo(IApplicationBuilder web) => web.MapWhen(http => http.Request.Path.StartsWithSegments(Root, StringComparison.Ordinal), door => door.Run(ServeAsync));

    private async Task ServeAsync(HttpContext http)
    {
        var start = http.Features.Get<ProcessStart>() ?? throw new InvalidOperationException("a request that came from no box");
        try
        {
            if (start.Calls.Run.IsHalting)
                await ModelDoor.HoldAsync(http);
            else
                await RouteAsync(http, start.Steps);
        }
        catch (StepRequestException problem)
        {
            await AnswerAsync(http, problem.Answer, problem.Status);
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            // The run halts or its program is over: nobody is answered any more.
            await ModelDoor.HoldAsync(http);
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            http.Abort();
        }
    }

    private async Task RouteAsync(HttpContext http, IProcessSteps steps)
    {
        // The path as it was sent: a name may have an encoded slash in it.
        var target = http.Features.Get<IHttpRequestFeature>()!.RawTarget.Split('?')[0];
        var parts = target.Split('/').Skip(2).Select(Uri.UnescapeDataString).ToArray();
        var gone = http.RequestAborted;
        switch ((http.Request.Method, parts))
        {
            case ("PUT", ["v1", "steps", var name]):
                var ask = StepOf(name, await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.StepBody));
                await steps.StepAsync(ask, answer => AnswerAsync(http, answer), gone);
                break;
            case ("POST", ["v1", "steps", _, "complete"]):
                var body = await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.CompleteBody);
                await steps.CompleteAsync(Text("token", body.Token, MaxName), EndOf(body), answer => AnswerAsync(http, answer), gone);
                break;
            case ("PUT" or "POST", ["v1", "heartbeat"]):
                var beat = await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.HeartbeatBody);
                await AnswerAsync(http, steps.Heartbeat(Text("token", beat.Token, MaxName), beat.Note is null ? null : PlainText.Line(beat.Note, MaxName)));
                break;
            case ("POST", ["v1", "sleep"]):
                var sleep = await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.SleepBody);
                if (sleep.Seconds is null == sleep.Until is null)
                    throw StepRequestException.Of("a sleep has either 'seconds' or 'until'");
                await PatientlyAsync(http, deliver => steps.SleepAsync(sleep.Name is null ? "" : Text("name", sleep.Name, MaxName), Span("seconds", sleep.Seconds ?? 0), sleep.Until is { } until ? Soon(until) : null, deliver, gone));
                break;
            case ("POST", ["v1", "signals", var signal]):
                if (!RunOperations.IsSignalName(signal))
                    throw StepRequestException.Of("the name of a signal has 1 to 100 of the characters a-z, A-Z, 0-9, '.', '_' and '-'");
                var wait = await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.SignalBody);
                await PatientlyAsync(http, deliver => steps.SignalAsync(signal, wait.Timeout is { } seconds ? Span("timeout", seconds) : null, deliver, gone));
                break;
            case ("POST", ["v1", "children"]):
                var child = ChildOf(await StepBodies.ReadAsync(http, MaxBody, StepJson.Default.ChildBody));
                await PatientlyAsync(http, deliver => steps.SpawnAsync(child, deliver, gone));
                break;
            case ("GET", ["v1", "children", var id]):
                await PatientlyAsync(http, deliver => steps.ChildAsync(Text("the id of a child", id, MaxName), deliver, gone));
                break;
            default:
                throw new StepRequestException(StatusCodes.Status404NotFound, $"{http.Request.Method} {PlainText.Line(target, 100)} is no route; under /caisson/v1 there are: {Routes}");
        }
    }

    /// <summary>While the answer is long in coming, sends white space, which JSON may begin with, so that the client stays.</summary>
    private async Task PatientlyAsync(HttpContext http, Func<Func<ProgramAnswer, Task>, Task> wait)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted);
        var trickle = TrickleAsync(http, over.Token);
        try
        {
            await wait(async answer =>
            {
                await over.CancelAsync();
                await trickle;
                await AnswerAsync(http, answer);
            });
        }
        finally
        {
            await over.CancelAsync();
            await trickle;
        }
    }

    private async Task TrickleAsync(HttpContext http, CancellationToken over)
    {
        try
        {
            while (true)
            {
                await Task.Delay(Quiet, clock, over);
                http.Response.ContentType = StepBodies.Json;
                await http.Response.Body.WriteAsync("\n"u8.ToArray(), CancellationToken.None);
                await http.Response.Body.FlushAsync(CancellationToken.None);
            }
        }
        catch (Exception end) when (end is OperationCanceledException or IOException)
        {
            // The answer is there, or nobody wants it any more.
        }
    }

    private static async Task AnswerAsync(HttpContext http, ProgramAnswer answer, int? status = null)
    {
        var body = StepBodies.Write(answer);
        if (!http.Response.HasStarted)
        {
            http.Response.StatusCode = status ?? StepBodies.StatusOf(answer);
            http.Response.ContentType = StepBodies.Json;
            http.Response.ContentLength = body.Length;
        }

        // Looked at before and not after: a client that hangs up as soon as it has its answer has had it.
        http.RequestAborted.ThrowIfCancellationRequested();
        await http.Response.Body.WriteAsync(body, CancellationToken.None);
        if (http.Response.ContentLength is null)
            await http.Response.CompleteAsync();
    }

    private static StepAsk StepOf(string name, StepBody body)
    {
        var effect = body.Effect switch
        {
            null or "idempotent" => EffectClass.Idempotent,
            "read" => EffectClass.Read,
            "at_most_once" => EffectClass.AtMostOnce,
            _ => throw StepRequestException.Of("effect: allowed are 'read', 'idempotent' and 'at_most_once'"),
        };
        var policy = body.OnUnknown switch
        {
            null or "report" => UnknownPolicy.Report,
            "ask_human" => UnknownPolicy.AskHuman,
            "fail" => UnknownPolicy.Fail,
            _ => throw StepRequestException.Of("on_unknown: allowed are 'report', 'ask_human' and 'fail'"),
        };
        var (hash, shown) = body.Input is { } input ? (Wires.Keys.Canonical.HashOf(input), input.GetRawText()) : ("", null);
        return new StepAsk(Text("the name of a step", name, MaxName), hash, shown is null ? null : PlainText.Line(shown, MaxShown), body.Key is null ? null : Text("key", body.Key, MaxName), effect, policy);
    }

    private static StepEnd EndOf(CompleteBody body)
    {
        if (body.Error is not { } error)
            return new StepEnd.Done(body.Result ?? StepBodies.Null);
        if (body.Result is not null)
            throw StepRequestException.Of("a step ends with either 'result' or 'error'");
        var message = error.Message is not { Length: > 0 } text ? "the step failed" : text.Length <= MaxText ? text : text[..MaxText] + "…";
        var code = error.Code ?? ErrorCodes.StepFailed;
        if (code.Length is 0 or > 64 || !code.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_'))
            throw StepRequestException.Of("error.code: allowed are 1 to 64 of the characters a-z, 0-9 and '_'");
        return error.Retryable is { } again
            ? new StepEnd.Failed(new Failure(code, message, again))
            : new StepEnd.Broke(new Failure(code, message, Retryable: true));
    }

    private static ChildAsk ChildOf(ChildBody body)
    {
        if (body.Agent is null && body.Manifest is null)
            throw StepRequestException.Of("a child has a 'manifest', or the name of the program's own 'agent'");
        var agent = body.Agent is null ? "child" : Text("agent", body.Agent, MaxName);
        return new ChildAsk(agent, body.Manifest, body.Input ?? "", body.Key is null ? null : Text("key", body.Key, MaxName), body.Detach, body.Wait);
    }

    private static string Text(string what, string? text, int most) => text is { Length: > 0 } && text.Length <= most && PlainText.Line(text) == text
        ? text
        : throw StepRequestException.Of($"{what}: allowed are 1 to {most} characters, none of which moves a terminal");

    private static TimeSpan Span(string what, double seconds) => seconds >= 0 && seconds <= LongestWait.TotalSeconds
        ? TimeSpan.FromSeconds(seconds)
        : throw StepRequestException.Of($"{what}: allowed are 0 to {LongestWait.TotalSeconds:0} seconds");

    private DateTimeOffset Soon(DateTimeOffset until) => until <= clock.GetUtcNow() + LongestWait
        ? until
        : throw StepRequestException.Of("until: allowed is a time within the next 366 days");
}
