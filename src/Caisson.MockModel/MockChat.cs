using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Caisson.MockModel.Scripts;
using Caisson.MockModel.Wire;
using Microsoft.AspNetCore.Http;

namespace Caisson.MockModel;

/// <summary>Answers chat requests from a script. Its only memory is how often each reply with faults was asked for.</summary>
internal sealed class MockChat(MockScript script, RequestLog log, TimeProvider time, CancellationToken stopping)
{
    private const int MaxRemembered = 100_000;

    private static readonly byte[] Done = "data: [DONE]\n\n"u8.ToArray();

    private readonly ConcurrentDictionary<string, long> _asked = new(StringComparer.Ordinal);
    private readonly Lock _waitersLock = new();
    private readonly List<(long Count, TaskCompletionSource Signal)> _waiters = [];
    private long _requests;

    public IEnumerable<string> Models => script.Models;

    public long Requests => Interlocked.Read(ref _requests);

    public Task WhenRequestsAsync(long count)
    {
        lock (_waitersLock)
        {
            if (Requests >= count)
                return Task.CompletedTask;
            var signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((count, signal));
            return signal.Task;
        }
    }

    public async Task AnswerAsync(HttpContext context)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            await AnswerAsync(context, ending.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && ending.IsCancellationRequested)
        {
            // The client went, or the server stops; the log has what there was to tell.
            context.Abort();
        }
    }

    public static async Task WriteAsync(HttpContext context, HttpStatusCode status, ReadOnlyMemory<byte> json)
    {
        context.Response.StatusCode = (int)status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json);
    }

    private async Task AnswerAsync(HttpContext context, CancellationToken ending)
    {
        var (conversation, refusal, problem) = await ReadAsync(context, ending);
        var facts = new RequestFacts(
            conversation?.Model ?? "",
            Header(context, "Idempotency-Key"),
            Header(context, "Run-Epoch"),
            Header(context, "Attempt"),
            conversation?.Hash ?? "",
            (conversation?.AssistantMessages ?? -1) + 1);
        var number = Note(facts);

        if (conversation is null)
        {
            await RefuseAsync(refusal, problem!, null);
            return;
        }

        if (script.For(conversation) is not { } chosen)
        {
            await RefuseAsync(HttpStatusCode.NotFound, $"no script takes model '{conversation.Model}' in this conversation", "model_not_found");
            return;
        }

        if (chosen.At(conversation.AssistantMessages) is not var (reply, iteration))
        {
            await RefuseAsync(HttpStatusCode.BadRequest, $"the script for model '{conversation.Model}' has no turn {facts.Turn}", "script_ended");
            return;
        }

        var answer = MockAnswer.Make(reply, conversation, facts.Turn, iteration);
        var fault = reply.Faults.Count == 0 ? null : reply.FaultAt(AskedBefore(facts));
        if (fault is Fault.Status status)
        {
            if (status.RetryAfter is { } seconds)
                context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
            var type = status.Code == 429 ? "rate_limit_error" : status.Code >= 500 ? "server_error" : "invalid_request_error";
            log.Write(new RequestEvent(number, "failed", facts, status.Code, null));
            await WriteAsync(context, (HttpStatusCode)status.Code, ChatWire.Error(status.Message, type, null));
            return;
        }

        if (fault is Fault.Hang)
        {
            await HangAsync(number, facts, ending);
            return;
        }

        // Not ended by a client that goes: a real model works on, and its work is paid for.
        if (reply.Delay > TimeSpan.Zero)
            await Task.Delay(reply.Delay, time, stopping);
        List<ReadOnlyMemory<byte>> whole = conversation.Stream ? Events(answer, conversation.StreamUsage) : [ChatWire.Completion(answer)];
        var sent = fault is null ? "answered" : "failed";
        if (fault is Fault.Malformed { Body: { } body })
            whole = [System.Text.Encoding.UTF8.GetBytes(body)];
        else if (fault is Fault.Malformed)
            whole = [whole[0][..(whole[0].Length / 2)]];

        log.Write(new RequestEvent(number, sent, facts, 200, fault is null ? answer.Usage : null));
        await SendAsync(context, whole, conversation.Stream, cut: fault is Fault.Cut, ending);

        async Task RefuseAsync(HttpStatusCode code, string message, string? errorCode)
        {
            log.Write(new RequestEvent(number, "failed", facts, (int)code, null));
            await WriteAsync(context, code, ChatWire.Error(message, "invalid_request_error", errorCode));
        }
    }

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

    private static async Task SendAsync(HttpContext context, List<ReadOnlyMemory<byte>> parts, bool stream, bool cut, CancellationToken ending)
    {
        context.Response.ContentType = stream ? "text/event-stream" : "application/json";
        if (!stream)
            context.Response.ContentLength = parts[0].Length;
        var length = parts.Sum(p => (long)p.Length);
        var left = cut ? length / 2 : length;
        foreach (var part in parts)
        {
            await context.Response.Body.WriteAsync(part[..(int)Math.Min(left, part.Length)], ending);
            left -= Math.Min(left, part.Length);
            if (stream || cut)
                await context.Response.Body.FlushAsync(ending);
        }

        if (cut)
            context.Abort();
    }

    private static List<ReadOnlyMemory<byte>> Events(MockAnswer answer, bool includeUsage) =>
        [.. ChatWire.Chunks(answer, includeUsage).Select(chunk => (ReadOnlyMemory<byte>)(byte[])[.. "data: "u8, .. chunk.Span, .. "\n\n"u8]), Done];

    private static async Task<(Conversation?, HttpStatusCode, string?)> ReadAsync(HttpContext context, CancellationToken ending)
    {
        try
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body, ending);
            var (conversation, problem) = Conversation.Read(body.GetBuffer().AsMemory(0, (int)body.Length));
            return (conversation, HttpStatusCode.BadRequest, problem);
        }
        catch (BadHttpRequestException e)
        {
            return (null, (HttpStatusCode)e.StatusCode, e.Message);
        }
    }

    private static string? Header(HttpContext context, string name) => context.Request.Headers[name] is [var value, ..] ? value : null;

    private long Note(RequestFacts facts)
    {
        lock (_waitersLock)
        {
            var number = _requests + 1;
            log.Write(new RequestEvent(number, "request", facts, null, null));
            Interlocked.Exchange(ref _requests, number);
            foreach (var (_, signal) in _waiters.Where(w => w.Count <= number))
                signal.SetResult();
            _waiters.RemoveAll(w => w.Count <= number);
            return number;
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
