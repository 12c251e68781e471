using System.Collections.Concurrent;
using System.Globalization;
using Caisson.MockModel.Scripts;
using Caisson.MockModel.Wire;
using Microsoft.AspNetCore.Http;

namespace Caisson.MockModel;

/// <summary>Answers model calls of every wire from a script. Its only memory is a count: of all requests, and of each reply with faults.</summary>
internal sealed class MockCalls(MockScript script, RequestLog log, TimeProvider time, CancellationToken stopping)
{
    private const int MaxRemembered = 100_000;

    private static readonly Reply Unscripted = new("", [], TimeSpan.Zero, TimeSpan.Zero, [], ScriptedUsage.Counted);

    private readonly ConcurrentDictionary<string, long> _asked = new(StringComparer.Ordinal);
    private readonly RequestCounter _counter = new(log);

    public long Requests => _counter.Count;

    public Task WhenRequestsAsync(long count) => _counter.WhenAsync(count);

    public Task AnswerAsync(HttpContext context, IWire wire) => GuardAsync(context, ending => AnswerAsync(context, wire, ending));

    /// <summary>Counts a request's tokens; no script has a say in it, and nobody bills it.</summary>
    public Task CountAsync(HttpContext context, IWire wire, Func<long, ReadOnlyMemory<byte>> write) => GuardAsync(context, async ending =>
    {
        var (conversation, refusal) = await RequestReader.ReadAsync(context, wire, ending);
        var facts = RequestReader.Facts(context, wire, conversation);
        var number = _counter.Note(facts);
        if (conversation is null)
        {
            await RefuseAsync(context, wire, number, facts, refusal!);
            return;
        }

        log.Write(new RequestEvent(number, "free", facts, 200, null));
        await WriteAsync(context, 200, write(conversation.InputTokens));
    });

    public static async Task WriteAsync(HttpContext context, int status, ReadOnlyMemory<byte> json)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json);
    }

    private async Task GuardAsync(HttpContext context, Func<CancellationToken, Task> answerAsync)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            await answerAsync(ending.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && ending.IsCancellationRequested)
        {
            // The client went, or the server stops; the log has what there was to tell.
            context.Abort();
        }
    }

    private async Task AnswerAsync(HttpContext context, IWire wire, CancellationToken ending)
    {
        var (conversation, refusal) = await RequestReader.ReadAsync(context, wire, ending);
        var facts = RequestReader.Facts(context, wire, conversation);
        var number = _counter.Note(facts);
        if (conversation is null)
        {
            await RefuseAsync(context, wire, number, facts, refusal!);
            return;
        }

        if (wire.RequestIdHeader is { } header)
            context.Response.Headers[header] = RequestId(facts);
        var (reply, iteration, none) = Choose(conversation, number);
        if (reply is null)
        {
            await RefuseAsync(context, wire, number, facts, none!);
            return;
        }

        var streams = conversation.Stream != StreamForm.None;
        var fault = reply.Faults.Count == 0 ? null : reply.FaultAt(AskedBefore(facts));
        if (fault is Fault.Status status && (status.After is null || !streams))
        {
            await RefuseAsync(context, wire, number, facts, status.Refusal);
            return;
        }

        if (fault is Fault.Hang hang && (hang.After is null || !streams))
        {
            await HangAsync(number, facts, ending);
            return;
        }

        // Not ended by a client that goes: a real model works on, and its work is paid for.
        if (reply.Delay > TimeSpan.Zero)
            await Task.Delay(reply.Delay, time, stopping);
        var answer = MockAnswer.Make(reply, conversation, wire.CallIdPrefix, facts.Turn, iteration);
        var delivery = Delivery.Of(wire, answer, fault);
        log.Write(new RequestEvent(number, fault is null ? "answered" : "failed", facts, 200, fault is null ? answer.Usage : null));
        await delivery.SendAsync(context, conversation.Stream, reply.Pace, time, ending);
    }

    private (Reply? Reply, long Iteration, Refusal? None) Choose(Conversation conversation, long number)
    {
        if (script.For(conversation, number) is not { } chosen)
        {
            // Vectors need no script: there is nothing in them to be written by one.
            return conversation.Wire == WireNames.Embeddings
                ? (Unscripted, 1, null)
                : (null, 0, new Refusal(404, $"no script takes model '{conversation.Model}' in this conversation", "model_not_found"));
        }

        return chosen.At(conversation.Turns) is var (reply, iteration)
            ? (reply, iteration, null)
            : (null, 0, new Refusal(400, $"the script for model '{conversation.Model}' has no turn {conversation.Turns + 1}", "script_ended"));
    }

    private async Task RefuseAsync(HttpContext context, IWire wire, long number, RequestFacts facts, Refusal refusal)
    {
        if (refusal.RetryAfter is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        log.Write(new RequestEvent(number, "failed", facts, refusal.Status, null));
        await WriteAsync(context, refusal.Status, wire.Error(refusal with { RequestId = RequestId(facts) }));
    }

    private static string RequestId(RequestFacts facts) => $"req_{facts.ConversationHash}";

    private async Task HangAsync(long number, RequestFacts facts, CancellationToken ending)
    {
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, time, ending);
        }
        finally
        {
            log.Write(new RequestEvent(number, "failed", facts, null, null));
        }
    }

    /// <summary>By the caller's own key where it sends one: two runs with the same prompt each meet the scripted faults.</summary>
    private long AskedBefore(RequestFacts facts)
    {
        // Bounded, and forgetting only means that a fault is met again.
        if (_asked.Count > MaxRemembered)
            _asked.Clear();
        return _asked.AddOrUpdate(facts.IdempotencyKey ?? facts.ConversationHash, 0, (_, before) => before + 1);
    }
}
