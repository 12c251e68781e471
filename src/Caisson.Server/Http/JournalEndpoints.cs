using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>
/// A run's journal, as pages and as a stream of server-sent events. An event's id is its entry's <c>seq</c>, so a
/// stream resumed by Last-Event-ID has neither gap nor duplicate, also over a restart of the server.
/// </summary>
internal sealed class JournalEndpoints(Runs runs, RunEndpoints finder, TimeProvider clock, CancellationToken stopping)
{
    private static readonly TimeSpan CommentEvery = TimeSpan.FromSeconds(10);

    private static readonly byte[] Comment = ": still here\n\n"u8.ToArray();

    private const int MaxPage = 500;

    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/runs/{run}/journal", http => finder.WithRunAsync(http, run => PageAsync(http, run)));
        routes.MapGet("/v1/runs/{run}/events", http => finder.WithRunAsync(http, run => StreamAsync(http, run)));
    }

    private async Task PageAsync(HttpContext http, RunId run)
    {
        Requests.OnlyQuery(http, "after", "limit", "payloads");
        var after = Requests.Number(http, "after", 0, long.MaxValue);
        var limit = (int)Math.Max(1, Requests.Number(http, "limit", 100, MaxPage));
        var payloads = Requests.Flag(http, "payloads");
        var entries = await runs.JournalAsync(run, after, limit, http.RequestAborted);
        var page = new JournalPage([.. entries.Select(e => Views.Of(e, payloads))], entries.Count == limit ? entries[^1].Seq : null);
        await Views.WriteAsync(http, StatusCodes.Status200OK, page, ApiJson.Default.JournalPage);
    }

    private async Task StreamAsync(HttpContext http, RunId run)
    {
        Requests.OnlyQuery(http, "after", "payloads");
        var payloads = Requests.Flag(http, "payloads");
        var after = LastEventId(http) ?? Requests.Number(http, "after", 0, long.MaxValue);
        http.Response.ContentType = "text/event-stream";
        await http.Response.Body.FlushAsync(http.RequestAborted);

        using var over = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, stopping);
        await using var entries = runs.FollowAsync(run, after, over.Token).GetAsyncEnumerator(over.Token);
        var buffer = new ArrayBufferWriter<byte>();
        try
        {
            while (true)
            {
                var next = entries.MoveNextAsync().AsTask();
                while (!await IsReadyAsync(next))
                    await WriteAsync(http, Comment, over.Token);
                if (!await next)
                    return;
                buffer.ResetWrittenCount();
                Format(buffer, Views.Of(entries.Current, payloads));
                await WriteAsync(http, buffer.WrittenMemory, over.Token);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The reader left or the server stops: the stream just ends, and the reader resumes where it stood.
        }
    }

    /// <summary>Whether it completed before the stream had been silent for too long.</summary>
    private async Task<bool> IsReadyAsync(Task next)
    {
        try
        {
            await next.WaitAsync(CommentEvery, clock);
            return true;
        }
        catch (TimeoutException) when (!next.IsCompleted)
        {
            return false;
        }
    }

    private static void Format(ArrayBufferWriter<byte> buffer, JournalEntryView entry)
    {
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"id: {entry.Seq}\nevent: {entry.Kind}\ndata: "), buffer);
        using (var json = new Utf8JsonWriter(buffer))
            JsonSerializer.Serialize(json, entry, ApiJson.Default.JournalEntryView);
        buffer.Write("\n\n"u8);
    }

    private static async Task WriteAsync(HttpContext http, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await http.Response.Body.WriteAsync(bytes, cancellationToken);
        await http.Response.Body.FlushAsync(cancellationToken);
    }

    private static long? LastEventId(HttpContext http)
    {
        var text = (string?)http.Request.Headers[ApiNames.LastEventId];
        if (string.IsNullOrEmpty(text))
            return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seq)
            ? seq
            : throw new BadHttpRequestException($"{ApiNames.LastEventId}: found '{text}', allowed is the id of an event of this stream");
    }
}
