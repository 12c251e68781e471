using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Gateway.OpenAi;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Providers;

/// <summary>Sends one attempt to a provider and says what it came to. Everything that comes back is bounded and suspect.</summary>
internal sealed class Upstream : IDisposable
{
    private const int MaxAnswerBytes = 16 << 20;
    private const int MaxRefusalBytes = 1 << 20;
    private static readonly TimeSpan ReasonTimeout = TimeSpan.FromSeconds(10);
    private static readonly string[] ReasonMembers = ["error", "message", "detail"];

    private readonly Provider _provider;
    private readonly HttpClient _client;
    private readonly TimeProvider _time;

    public Upstream(Provider provider, TimeProvider time, HttpMessageHandler? handler)
    {
        _provider = provider;
        _time = time;
        _client = new HttpClient(handler ?? NewHandler(provider), disposeHandler: handler is null)
        {
            // The time limit is our own: it runs on the TimeProvider and covers the answer's body.
            Timeout = Timeout.InfiniteTimeSpan,
        };
        Gate = new ProviderGate(provider.MaxConcurrent, provider.RequestsPerMinute, time);
    }

    public Provider Provider => _provider;

    /// <summary>Every call goes through it.</summary>
    public ProviderGate Gate { get; }

    public void Dispose()
    {
        _client.Dispose();
        Gate.Dispose();
    }

    public Task<UpstreamReply> SendAsync(string model, ReadOnlyMemory<byte> body, StepKey key, int attempt, IStepLog log, CancellationToken cancellationToken) =>
        SendAsync(new Uri(_provider.Base + _provider.PathOf(model, "/chat/completions")), body, [], key, attempt, log, (response, cancellation) => response.IsSuccessStatusCode
            ? ReadAnswerAsync(response, model, cancellation)
            : ReadRefusalAsync(response, cancellation), cancellationToken);

    /// <summary>Hands a program's own request through.</summary>
    /// <param name="path">Below the provider's base, with its query.</param>
    /// <param name="headers">Of the client, those that mean something to the provider.</param>
    /// <param name="read">Reads a whole 2xx answer.</param>
    /// <param name="refused">Gets what the provider refused with, word for word.</param>
    public Task<UpstreamReply> RelayAsync(string path, ReadOnlyMemory<byte> body, IReadOnlyList<(string Name, string Value)> headers, StepKey key, int attempt, IStepLog log,
        Func<HttpResponseMessage, CancellationToken, Task<UpstreamReply>> read, Action<int, string?, ReadOnlyMemory<byte>> refused, CancellationToken cancellationToken) =>
        SendAsync(new Uri(_provider.Base + path), body, headers, key, attempt, log, async (response, cancellation) =>
        {
            if (response.IsSuccessStatusCode)
                return await read(response, cancellation);
            await response.Content.LoadIntoBufferAsync(MaxRefusalBytes, cancellation);
            refused((int)response.StatusCode, response.Content.Headers.ContentType?.ToString(), await response.Content.ReadAsByteArrayAsync(cancellation));
            return await ReadRefusalAsync(response, cancellation);
        }, cancellationToken);

    private async Task<UpstreamReply> SendAsync(Uri target, ReadOnlyMemory<byte> body, IReadOnlyList<(string Name, string Value)> headers, StepKey key, int attempt, IStepLog log,
        Func<HttpResponseMessage, CancellationToken, Task<UpstreamReply>> read, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(_provider.Timeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using var content = new GuardedContent(body, log);
        using var request = NewRequest(target, body.IsEmpty ? null : content, key, attempt, log);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        try
        {
            using var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            return await read(response, either.Token);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception) when (content.Withheld)
        {
            return new UpstreamReply.Withheld();
        }
        catch (Exception e) when (!content.Sent && e is HttpRequestException or IOException or OperationCanceledException)
        {
            // Nothing was sent and nothing is owed: an outage costs time, like an overload, so that a few refused
            // connections in a row do not leave every run to be resumed by hand.
            return new UpstreamReply.Failed(Unreachable(e), RetryClass.Throttled);
        }
        catch (OperationCanceledException)
        {
            return Lost($"gave no whole answer within {_provider.Timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return Lost($"broke the connection before its answer was whole ({Reason(e)})");
        }
    }

    private HttpRequestMessage NewRequest(Uri target, HttpContent? content, StepKey key, int attempt, IStepLog log)
    {
        var request = new HttpRequestMessage(content is null ? HttpMethod.Get : HttpMethod.Post, target) { Content = content };
        Authenticate(request);
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("caisson", null));
        // The step's key alone repeats in every run with the same prompt; a provider that honours the header would
        // then give one run the other's answer.
        request.Headers.Add("Idempotency-Key", $"{log.Run}.{key}");
        request.Headers.Add("Run-Epoch", log.Epoch.ToString(CultureInfo.InvariantCulture));
        request.Headers.Add("Attempt", attempt.ToString(CultureInfo.InvariantCulture));
        return request;
    }

    private void Authenticate(HttpRequestMessage request)
    {
        if (_provider.Key is not { } key)
            return;
        switch (_provider.Family)
        {
            case WireFamily.Anthropic:
                request.Headers.Add("x-api-key", key);
                break;
            case WireFamily.Gemini:
                request.Headers.Add("x-goog-api-key", key);
                break;
            case WireFamily.OpenAi when _provider.IsAzure:
                request.Headers.Add("api-key", key);
                break;
            default:
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
                break;
        }
    }

    /// <summary>Of a call that was never sent: the gate stayed shut for as long as it could wait.</summary>
    public UpstreamReply.Failed NotLetIn()
    {
        var pause = Gate.PausedUntil - _time.GetUtcNow();
        var message = pause > TimeSpan.Zero
            ? $"is left alone until {Gate.PausedUntil:HH:mm:ss}, as it asked"
            : "has as many calls as it may, and no room came in time";
        return new UpstreamReply.Failed(Fail(ErrorCodes.ProviderThrottled, message, true), RetryClass.Throttled, RetryAfter: pause);
    }

    /// <summary>Of an answer that cannot be used: the provider may have been paid for it.</summary>
    public UpstreamReply.Failed Malformed(string problem) =>
        new(Fail(ErrorCodes.ProviderMalformed, $"answered with what is no whole answer of its wire: {problem}", true), RetryClass.Counted, MaybeBilled: true);

    private async Task<UpstreamReply> ReadAnswerAsync(HttpResponseMessage response, string model, CancellationToken cancellationToken)
    {
        var (bytes, whole) = await ReadBoundedAsync(response.Content, MaxAnswerBytes, cancellationToken);
        var parsed = whole
            ? ChatAnswer.Parse(bytes, model)
            : new ChatParse.Nonsense($"more than {MaxAnswerBytes >> 20} MiB");
        return parsed switch
        {
            ChatParse.Understood(var answer, var usage) => new UpstreamReply.Answered(answer, usage),
            ChatParse.Nonsense(var problem) => new UpstreamReply.Failed(
                Fail(ErrorCodes.ProviderMalformed, $"answered {(int)response.StatusCode} with what is no chat completion: {problem}", true),
                RetryClass.Counted,
                MaybeBilled: true),
            _ => throw new InvalidOperationException($"unknown parse {parsed}"),
        };
    }

    private async Task<UpstreamReply> ReadRefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var status = response.StatusCode;
        var (code, retry) = Classify(status);
        var message = $"answered {(int)status} {status}";
        // Some providers quote part of the key when they refuse it, so a 401 is told without their words.
        if (status == HttpStatusCode.Unauthorized)
            message += "; check the key of this provider (api_key_env)";
        else if (await ReadReasonAsync(response, cancellationToken) is { Length: > 0 } reason)
            message += $": {reason}";

        var wait = RateLimits.Wait(response.Headers, _time.GetUtcNow());
        if ((int)status is 429 or 529 && wait is { } pause)
            Gate.Pause(pause);

        // Not tried again by itself, but a key or an account is the operator's to mend: the run can go on after that.
        var mendable = (int)status is 401 or 402 or 403 or 404;
        return new UpstreamReply.Failed(Fail(code, message, mendable || retry != RetryClass.Never), retry, RetryAfter: wait);
    }

    private static (string Code, RetryClass Retry) Classify(HttpStatusCode status) => (int)status switch
    {
        429 => (ErrorCodes.ProviderThrottled, RetryClass.Throttled),
        503 or 529 => (ErrorCodes.ProviderFailed, RetryClass.Throttled),
        408 or 409 or 425 or >= 500 => (ErrorCodes.ProviderFailed, RetryClass.Counted),
        _ => (ErrorCodes.ProviderRejected, RetryClass.Never),
    };

    /// <summary>The provider's own words, from wherever the usual servers put them. A reason that does not come is no reason to lose the status.</summary>
    private async Task<string> ReadReasonAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(ReasonTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            var (bytes, _) = await ReadBoundedAsync(response.Content, ProviderText.Window, either.Token);
            return FindReason(Encoding.UTF8.GetString(bytes.Span));
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return "";
        }
    }

    private static string FindReason(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return Find(document.RootElement, 0) ?? text;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return text;
        }

        static string? Find(JsonElement element, int depth) => element.ValueKind switch
        {
            JsonValueKind.String => element.GetString(),
            JsonValueKind.Object when depth < 3 => ReasonMembers
                .Select(name => element.TryGetProperty(name, out var inner) ? Find(inner, depth + 1) : null)
                .FirstOrDefault(found => found is not null),
            _ => null,
        };
    }

    private static async Task<(ReadOnlyMemory<byte> Bytes, bool Whole)> ReadBoundedAsync(HttpContent content, int limit, CancellationToken cancellationToken)
    {
        await using var stream = await content.ReadAsStreamAsync(cancellationToken);
        var bytes = new ArrayBufferWriter<byte>(8 << 10);
        while (true)
        {
            // One byte more than the limit tells that there is more, without taking it.
            var room = bytes.GetMemory(8 << 10);
            var read = await stream.ReadAsync(room[..Math.Min(room.Length, limit + 1 - bytes.WrittenCount)], cancellationToken);
            if (read == 0)
                return (bytes.WrittenMemory, true);
            bytes.Advance(read);
            if (bytes.WrittenCount > limit)
                return (bytes.WrittenMemory[..limit], false);
        }
    }

    private UpstreamReply.Failed Lost(string what) =>
        new(Fail(ErrorCodes.ProviderFailed, what, true), RetryClass.Counted, MaybeBilled: true);

    private Failure Unreachable(Exception e) =>
        Fail(ErrorCodes.ProviderUnreachable, $"cannot be reached at {_provider.Endpoint.Authority} ({Reason(e)})", true);

    private Failure Fail(string code, string message, bool retryable) =>
        new(code, ProviderText.Quote($"provider {_provider.Name} {message}", key: _provider.Key), retryable);

    private static string Reason(Exception e) => e switch
    {
        OperationCanceledException => "connecting took too long",
        HttpRequestException { HttpRequestError: not HttpRequestError.Unknown } http => $"{http.HttpRequestError}: {(e.InnerException ?? e).Message}",
        _ => (e.InnerException ?? e).Message,
    };

    private static SocketsHttpHandler NewHandler(Provider provider) => new()
    {
        ConnectTimeout = provider.ConnectTimeout,
        // Names move; a connection that lives for ever would never see it.
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        // A redirect would carry the prompt to a place that nobody configured.
        AllowAutoRedirect = false,
        UseCookies = false,
        // Trace ids are of use to us only.
        ActivityHeadersPropagator = null,
    };
}
