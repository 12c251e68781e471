using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Core.Processes;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Wires;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Caisson.Gateway.Processes;

/// <summary>
/// Answers a program's requests to models: from the journal where they are recorded, from a call under way where an equal
/// one was left, else by a call that is reserved, made, recorded, and only then answered to its end.
/// </summary>
internal sealed class ModelDoor(ModelCallPipeline pipeline)
{
    private const int MostBody = 32 << 20;

    /// <summary>Headers of a client that mean something to a provider. A key is never among them.</summary>
    private static readonly string[] Passed = ["anthropic-version", "anthropic-beta", "openai-beta", "openai-organization", "openai-project"];

    public async Task ServeAsync(HttpContext http)
    {
        var start = http.Features.Get<ProcessStart>() ?? throw new InvalidOperationException("a request that came from no box");
        var head = new WireHead(http.Request.Method, http.Request.Path.Value ?? "/", http.Request.QueryString.Value ?? "", http.Request.Headers.UserAgent);
        if (head is { Method: "HEAD", Path: "/" })
        {
            // Clients ask whether somebody is there; somebody is.
            return;
        }

        if (http.Request.Headers.Upgrade.Count > 0)
        {
            // Clients that are refused a socket go on with server-sent events.
            http.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            return;
        }

        if (Wires.Wires.Route(head) is not { } wire)
        {
            await WriteAsync(http, 501, "application/json", ErrorOf(null, new WireError(WireProblem.Unknown, $"caisson: {head.Method} {Shown(head.Path)} is no route of the gateway: it serves the model providers' own routes, and nothing that could pass the budget by"), head).Body);
            return;
        }

        var (body, problem) = await BodyAsync(http);
        if (problem is not null)
        {
            await AnswerAsync(http, wire, problem, head);
            return;
        }

        switch (wire.Read(head, start.Calls.Items.Fill(head.Path, body)))
        {
            case WireRead.Refused refused:
                await AnswerAsync(http, wire, refused.Error, head);
                break;
            case WireRead.Call { Value: var call }:
                try
                {
                    await AnswerAsync(http, start, call, head, [.. Passed.Where(http.Request.Headers.ContainsKey).Select(name => (name, http.Request.Headers[name].ToString()))]);
                }
                catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
                {
                    // The ownership is over: nobody is answered any more.
                    await HoldAsync(http);
                }

                break;
        }
    }

    private async Task AnswerAsync(HttpContext http, ProcessStart start, WireCall call, WireHead head, IReadOnlyList<(string, string)> headers)
    {
        var (calls, run) = (start.Calls, start.Calls.Run);
        if (run.IsHalting)
        {
            await HoldAsync(http);
            return;
        }

        if (start.Pool.Take(call.Wire.Name, call.Match) is { } hit)
        {
            run.Replayed(hit.Call.Record.Seq, hit.Level.ToString(), isExact: hit.Level == ReplayLevel.L0);
            await WatchAsync(run, call, recorded: true);
            await ReplayAsync(http, start, hit);
            return;
        }

        var identity = StepHash.Of("http", call.Wire.Name, call.Match.L0);
        var note = await WatchAsync(run, call, recorded: false);
        var reader = run.IsHalting ? null : calls.JoinLeft(call.Wire.Name, identity);
        if (reader is null)
        {
            await run.GoLiveAsync();
            if (call.Conversation.Length > 0 && start.Pool.Parted(call.Wire.Name, call.Conversation, call.Match) is { } parted)
                await run.DivergeAsync(new DriftReport(parted.Record.Seq, $"{parted.Exchange.Wire}: {parted.Record.Subject.Arguments}", $"{call.Wire.Name}: {call.Summary}"));
            if (run.IsHalting)
            {
                await HoldAsync(http);
                return;
            }

            switch (pipeline.ResolveFor(call, run.MoneyIsCapped))
            {
                case ModelCallPipeline.Resolution.Refused(var failure):
                    await AnswerAsync(http, call.Wire, new WireError(WireProblem.NoModel, $"caisson: {failure.Message}"), head);
                    return;
                case ModelCallPipeline.Resolution.Found found:
                    reader = calls.Begin(call.Wire.Name, identity, start.Pool, live => BuyAsync(calls, call, found, headers, note, live));
                    break;
            }
        }

        using (reader)
            await DeliverAsync(http, call.Wire, reader!, head);
    }

    private async Task BuyAsync(ProcessCalls calls, WireCall call, ModelCallPipeline.Resolution.Found found, IReadOnlyList<(string, string)> headers, string? note, LiveCall live)
    {
        var run = calls.Run;
        var log = run.NewCall(live.Identity);
        var key = log.ModelStep(live.Identity);
        var subject = new StepSubject(call.IsBilled ? StepKind.Model : StepKind.Named, $"{found.Provider.Name}/{found.Model}", live.Identity, null, $"{call.Wire.Name}: {call.Summary}");
        var priorAttempts = log.Find(key, subject) is StepLookup.NotRecorded(var prior) ? prior : 0;
        var most = CallBounds.ClampOutput(call.MaxOutput, found.Provider.MaxOutputTokens, found.Price?.Context);
        var all = call.IsBilled ? pipeline.WithFallbacks(found, run.MoneyIsCapped) : [found];
        var input = call.MostInput * all.Max(to => MediaBounds.Factor(call.Model, to.Model));
        var size = call.IsBilled ? new CallSize(input + CallBounds.OfNote(note), most, Math.Min(call.LeastOutput, most), call.Choices, found.Price) { Fallbacks = ModelCallPipeline.PricesOf(all.Skip(1)) } : null;
        Relay? last = null;
        var ways = all.Select(to => new Way(to, (attempt, output, cancellation) =>
        {
            last = new Relay(to.Upstream, to.Model, call, headers, note, live, log);
            return last.SendAsync(key, attempt, Math.Min(output, CallBounds.ClampOutput(call.MaxOutput, to.Provider.MaxOutputTokens, to.Price?.Context)), cancellation);
        }));
        var paid = new PaidCall(pipeline, run.Manifest.Retry, [.. ways], size, key, subject, log);
        switch (await paid.BuyAsync(priorAttempts, run.Owned))
        {
            case null:
                calls.Admitted();
                live.End(new LiveEnd.Recorded(key));
                break;
            case ModelOutcome.LimitReached(var denial) when run.Manifest.Limits.OnLimit == LimitPolicy.Stop && !calls.Denied():
                live.End(new LiveEnd.Denied(new WireError(WireProblem.Limit, $"caisson: {Budget(denial)}")));
                break;
            case ModelOutcome.Failed { Failure.Retryable: false } when last?.Refusal is { } refusal:
                live.End(refusal);
                break;
            case ModelOutcome.Failed(var failure) when failure.Retryable && !live.IsShown:
                run.Halt(new ModelOutcome.Exhausted(failure));
                break;
            case ModelOutcome.Failed:
                live.End(new LiveEnd.Broken());
                break;
            case { } other:
                run.Halt(other);
                break;
        }
    }

    /// <summary>Shows the guard what the conversation tells.</summary>
    private static Task<string?> WatchAsync(IProcessRun run, WireCall call, bool recorded) => call.Conversation.Length == 0
        ? Task.FromResult<string?>(null)
        : run.WatchAsync(new ConversationSeen(call.Conversation, call.Match.L0, [.. call.Turns.Where(t => t.Result is not null).Select(t => new ConversationTurn(t.Tool, t.Signature, t.Result!, t.Failed))]), recorded);

    private static async Task ReplayAsync(HttpContext http, ProcessStart start, ReplayHit hit)
    {
        try
        {
            http.Response.StatusCode = hit.Call.Exchange.Status;
            http.Response.ContentType = hit.Call.Exchange.ContentType;
            http.Response.Headers["caisson-replay"] = hit.Level.ToString();
            foreach (var piece in hit.Call.Exchange.Pieces())
            {
                await http.Response.Body.WriteAsync(piece, http.RequestAborted);
                await http.Response.Body.FlushAsync(http.RequestAborted);
            }

            await http.Response.CompleteAsync();
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            start.Pool.GiveBack(hit.Call);
            http.Abort();
        }
    }

    private static async Task DeliverAsync(HttpContext http, Wire wire, LiveCall.Reader reader, WireHead head)
    {
        try
        {
            var (answer, end) = await reader.HeadAsync(http.RequestAborted);
            if (answer is not null)
            {
                http.Response.StatusCode = answer.Status;
                http.Response.ContentType = answer.ContentType;
                (var piece, end) = await reader.NextAsync(http.RequestAborted);
                for (; piece is { } bytes; (piece, end) = await reader.NextAsync(http.RequestAborted))
                {
                    await http.Response.Body.WriteAsync(bytes, http.RequestAborted);
                    await http.Response.Body.FlushAsync(http.RequestAborted);
                }
            }

            switch (end)
            {
                case LiveEnd.Recorded:
                    await http.Response.CompleteAsync();
                    reader.Heard();
                    break;
                case LiveEnd.Refused refused:
                    await WriteAsync(http, refused.Status, refused.ContentType, refused.Body);
                    break;
                case LiveEnd.Denied denied:
                    await AnswerAsync(http, wire, denied.Error, head);
                    break;
                case LiveEnd.Broken:
                    http.Abort();
                    break;
            }
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            // The client went away; the call goes on without it.
            http.Abort();
        }
    }

    /// <summary>The run halts: the program is not told, and ends with its box.</summary>
    internal static async Task HoldAsync(HttpContext http)
    {
        var gone = new TaskCompletionSource();
        await using var registration = http.RequestAborted.Register(gone.SetResult);
        await gone.Task;
    }

    private static async Task<(ReadOnlyMemory<byte> Body, WireError? Problem)> BodyAsync(HttpContext http)
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = MostBody;
        using var body = new MemoryStream();
        try
        {
            await http.Request.Body.CopyToAsync(body, http.RequestAborted);
            return (body.GetBuffer().AsMemory(0, (int)body.Length), null);
        }
        catch (Exception e) when (e is IOException or OverflowException)
        {
            return (default, e is BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge }
                ? new WireError(WireProblem.TooLarge, $"caisson: a request may have {MostBody >> 20} MiB")
                : new WireError(WireProblem.Invalid, $"caisson: the request's body is not whole: {ProviderText.Quote(e.Message)}"));
        }
    }

    private static Task AnswerAsync(HttpContext http, Wire wire, WireError error, WireHead head)
    {
        var (status, body) = ErrorOf(wire, error, head);

        // Clients that heed it ask once; 429 and a time to wait would make them come back for minutes.
        http.Response.Headers["x-should-retry"] = "false";
        return WriteAsync(http, status, "application/json", body);
    }

    private static WireReply ErrorOf(Wire? wire, WireError error, WireHead head) =>
        wire?.Error(error, head) ?? new WireReply(501, System.Text.Encoding.UTF8.GetBytes($$$"""{"error":{"message":{{{System.Text.Json.JsonSerializer.Serialize(error.Message, WireJson.Default.String)}}},"type":"unsupported","param":null,"code":"not_implemented"}}"""));

    private static async Task WriteAsync(HttpContext http, int status, string? contentType, ReadOnlyMemory<byte> body)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = contentType;
        http.Response.ContentLength = body.Length;
        await http.Response.Body.WriteAsync(body, http.RequestAborted);
    }

    private static string Budget(LimitDenial denial) => string.Create(CultureInfo.InvariantCulture,
        $"the limit {Words(denial.Dimension)} of {denial.Node} is reached: {denial.Spent} of {denial.Cap} are used, {denial.Held} are held, {denial.Wanted} were asked for");

    private static string Words(LimitDimension dimension) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(dimension.ToString());

    private static string Shown(string path) => path.Length <= 100 ? path : path[..100] + "…";
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
internal sealed partial class WireJson : System.Text.Json.Serialization.JsonSerializerContext;
