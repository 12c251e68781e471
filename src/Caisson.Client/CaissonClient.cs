using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>
/// The HTTP API, typed. A refusal is an <see cref="ApiException"/> with the server's problem, silence a
/// <see cref="ServerUnreachableException"/>. Runs are named by their id or by a prefix that only one run has.
/// </summary>
/// <param name="http">Carries the server's address as its base address. Its own timeout must be off: streams last.</param>
public sealed partial class CaissonClient(HttpClient http, TimeProvider clock)
{
    public static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(30);

    // A server that accepts and never answers is as good as none; a create waits for the sandbox's first probe.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(60);

    private const int MaxAnswerBytes = 256 << 20;

    public Task<(RunView Run, bool Existing)> CreateRunAsync(CreateRunRequest request, string? idempotencyKey, CancellationToken cancellationToken) =>
        PostContentAsync("v1/runs", JsonBody(request, ApiJson.Default.CreateRunRequest), idempotencyKey, cancellationToken);

    public Task<RunView> GetRunAsync(string run, CancellationToken cancellationToken) =>
        GetAsync(RunPath(run), ApiJson.Default.RunView, cancellationToken);

    public Task<RunPage> ListRunsAsync(RunQuery query, CancellationToken cancellationToken)
    {
        var text = new StringBuilder("v1/runs?");
        foreach (var status in query.Statuses)
            text.Append("status=").Append(JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString())).Append('&');
        if (query.Agent is not null)
            text.Append("agent=").Append(Uri.EscapeDataString(query.Agent)).Append('&');
        if (query.Cursor is not null)
            text.Append("cursor=").Append(Uri.EscapeDataString(query.Cursor)).Append('&');
        if (query.Limit is { } limit)
            text.Append("limit=").Append(limit);
        return GetAsync(text.ToString(), ApiJson.Default.RunPage, cancellationToken);
    }

    public Task<JournalPage> ReadJournalAsync(string run, long after, int limit, bool payloads, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/journal?after={after}&limit={limit}&payloads={(payloads ? "true" : "false")}", ApiJson.Default.JournalPage, cancellationToken);

    /// <summary>The whole journal after a place, page by page, as it stands now.</summary>
    public async IAsyncEnumerable<JournalEntryView> ReadJournalAsync(string run, long after, bool payloads, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        const int pageSize = 200;
        long? next = after;
        while (next is { } from)
        {
            var page = await ReadJournalAsync(run, from, pageSize, payloads, cancellationToken);
            foreach (var entry in page.Items)
                yield return entry;
            next = page.NextAfter;
        }
    }

    /// <summary>The journal as it grows, until the run's end, without a gap or a duplicate, over restarts of the server.</summary>
    public IAsyncEnumerable<JournalEntryView> FollowAsync(string run, FollowOptions options, CancellationToken cancellationToken) =>
        new JournalFollower(http, clock, $"{RunPath(run)}/events", options).FollowAsync(cancellationToken);

    public Task<RunView> CancelAsync(string run, string? reason, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/cancel", new OperatorRequest(reason), ApiJson.Default.OperatorRequest, cancellationToken);

    public Task<RunView> PauseAsync(string run, string? reason, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/pause", new OperatorRequest(reason), ApiJson.Default.OperatorRequest, cancellationToken);

    public Task<RunView> ResumeAsync(string run, RunOverrides raise, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/resume", raise, ApiJson.Default.RunOverrides, cancellationToken);

    public Task<IReadOnlyList<WorkspaceFileView>> ListFilesAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/files", ApiJson.Default.IReadOnlyListWorkspaceFileView, cancellationToken);

    public async Task<byte[]> ReadFileAsync(string run, string path, CancellationToken cancellationToken)
    {
        var escaped = string.Join('/', path.Split('/').Select(Uri.EscapeDataString));
        using var message = new HttpRequestMessage(HttpMethod.Get, $"{RunPath(run)}/files/{escaped}");
        using var answer = await SendAsync(message, cancellationToken);
        return await ReadBytesAsync(answer, cancellationToken);
    }

    /// <summary>Whether the server takes work; a server that answers that it does not, and why, has answered.</summary>
    public async Task<ReadyView> ReadyAsync(CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, "readyz");
        using var answer = await SendAsync(message, cancellationToken, alsoRead: HttpStatusCode.ServiceUnavailable);
        return await ReadAsync(answer, ApiJson.Default.ReadyView, cancellationToken);
    }

    /// <summary>Does something that is safe to repeat, again and again while the server is away, for as long as the patience lasts.</summary>
    public async Task<T> RetryAsync<T>(Func<CancellationToken, Task<T>> act, TimeSpan patience, CancellationToken cancellationToken)
    {
        var deadline = clock.GetTimestamp() + (long)(patience.TotalSeconds * clock.TimestampFrequency);
        while (true)
        {
            try
            {
                return await act(cancellationToken);
            }
            catch (Exception e) when (IsAbsence(e) && clock.GetTimestamp() < deadline)
            {
                await Task.Delay(JournalFollower.RetryPause, clock, cancellationToken);
            }
        }
    }

    internal static bool IsAbsence(Exception e) =>
        e is ServerUnreachableException or ApiException { Problem.Code: ErrorCodes.Draining } or ApiException { Problem.Status: 502 or 503 or 504 };

    internal static async Task<ApiException> ReadProblemAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        try
        {
            if (answer.Content.Headers.ContentType?.MediaType == ApiNames.Problem
                && JsonSerializer.Deserialize(await ReadBytesAsync(answer, cancellationToken), ApiJson.Default.Problem) is { } problem)
                return new ApiException(problem);
        }
        catch (JsonException)
        {
            // Falls through: whoever answered does not speak our API.
        }

        var status = (int)answer.StatusCode;
        return new ApiException(new Problem("Unexpected answer", status, ErrorCodes.Internal,
            $"{answer.RequestMessage?.RequestUri?.GetLeftPart(UriPartial.Authority)} answered {status} without a problem document: is it a Caisson server?"));
    }

    internal static ServerUnreachableException Unreachable(HttpClient http, Exception e) =>
        new(http.BaseAddress, e is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError }, e);

    private static string RunPath(string run) => $"v1/runs/{Uri.EscapeDataString(run)}";

    private static ByteArrayContent JsonBody<T>(T value, JsonTypeInfo<T> type) =>
        new(JsonSerializer.SerializeToUtf8Bytes(value, type)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };

    private async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, path);
        using var answer = await SendAsync(message, cancellationToken);
        return await ReadAsync(answer, type, cancellationToken);
    }

    private async Task<RunView> PostAsync<T>(string path, T body, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        (await PostContentAsync(path, JsonBody(body, type), null, cancellationToken)).Run;

    /// <summary>The run, and whether what was posted had been there before.</summary>
    private async Task<(RunView Run, bool Existing)> PostContentAsync(string path, HttpContent body, string? idempotencyKey, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = body };
        if (idempotencyKey is not null)
            message.Headers.TryAddWithoutValidation(ApiNames.IdempotencyKey, idempotencyKey);
        using var answer = await SendAsync(message, cancellationToken);
        return (await ReadAsync(answer, ApiJson.Default.RunView, cancellationToken), answer.StatusCode == HttpStatusCode.OK);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage message, CancellationToken cancellationToken, TimeSpan? answerLimit = null, HttpStatusCode? alsoRead = null)
    {
        var within = answerLimit ?? AnswerLimit;
        using var limit = new CancellationTokenSource(within, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            var answer = await http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, both.Token);
            if (answer.IsSuccessStatusCode || answer.StatusCode == alsoRead)
                return answer;
            using (answer)
                throw await ReadProblemAsync(answer, both.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw Unreachable(http, new TimeoutException($"no answer within {within.TotalSeconds} s", e));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw Unreachable(http, e);
        }
    }

    private async Task<T> ReadAsync<T>(HttpResponseMessage answer, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        try
        {
            return JsonSerializer.Deserialize(await ReadBytesAsync(answer, cancellationToken), type)
                ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new ApiException(new Problem("Unexpected answer", (int)answer.StatusCode, ErrorCodes.Internal,
                $"{http.BaseAddress} answered with something that this client does not read ({e.Message}): are client and server of one version?"));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw Unreachable(http, e);
        }
    }

    private static async Task<byte[]> ReadBytesAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        await answer.Content.LoadIntoBufferAsync(MaxAnswerBytes, cancellationToken);
        return await answer.Content.ReadAsByteArrayAsync(cancellationToken);
    }
}
