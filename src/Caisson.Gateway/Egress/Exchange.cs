using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Egress.Http;

namespace Caisson.Gateway.Egress;

/// <summary>
/// Requests and answers of one connection of the box, one after the other.
/// 1. Rules. 2. Addresses. 3. Budget. 4. Intent. 5. The request goes out. 6. The answer comes in, without secrets.
/// </summary>
internal sealed class Exchange(BoxWall wall, BoxReader reader, ResponseWriter writer) : IDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromMinutes(5);
    private static readonly HashSet<string> Safe = ["GET", "HEAD", "OPTIONS"];

    private readonly Upstreams _upstreams = new(wall);

    internal void Pin(HostName host, int port, Destination.Found found) => _upstreams.Pin(host, port, found);

    /// <returns>Whether another request may follow on this connection.</returns>
    internal async Task<bool> RunAsync(RequestHead head, RequestTarget target, bool secure, CancellationToken cancellationToken)
    {
        var path = PathPattern.Canonical(target.Path);
        var shown = path ?? target.Path;

        // 1.
        var verdict = head.Method is "TRACE" or "CONNECT"
            ? new Verdict.Denied(ErrorCodes.EgressDenied, $"caisson: {head.Method} {target.Host.Name}:{target.Port} is denied: this method may never be sent; use another one")
            : wall.Policy.Request(secure, target.Host, target.Port, head.Method, path);
        if (verdict is Verdict.Denied denied)
            return await DenyAsync(403, denied.Code, denied.Reason);
        var rule = ((Verdict.Allowed)verdict).Rule;
        var secret = rule.Secret is { } name ? wall.Secrets[name] : null;
        if (secret is not null && !secret.MayGoTo(target.Host.Name))
            return await DenyAsync(403, ErrorCodes.EgressDenied, $"caisson: {head.Method} {target.Host.Name}:{target.Port} is denied: the secret '{secret.Name}' may not go to this host");

        // 2.
        var (upstream, refusal) = await _upstreams.OpenAsync(target.Host, target.Port, cancellationToken);
        if (upstream is null)
            return await DenyAsync(refusal!.Code == ErrorCodes.EgressUnreachable ? 502 : 403, refusal.Code, refusal.Reason);

        // 3.
        if (wall.Meter.IsOver)
            return await DenyAsync(403, ErrorCodes.EgressBudget, wall.Meter.Reason);

        // 4.
        var repeatable = Safe.Contains(head.Method) && secret is null;
        if (!wall.Log.MaySend || (!repeatable && !await wall.Log.IntentAsync(new EgressIntent(EgressKind.Request, target.Host.Name, target.Port, head.Method, shown, secret?.Name), cancellationToken)))
            return await DenyAsync(503, ErrorCodes.EgressStopped, Tunnel.Stopped(target.Host.Name, target.Port));
        wall.Decided(EgressDecision.Allowed, head.Method, target.Host.Name, target.Port, shown, secret?.Name);

        // 5.
        using var body = new BoxBody(reader, head.Length, head.AwaitsContinue ? writer.ContinueAsync : null);
        using var request = Request(head, upstream.Uri(secure, target.PathAndQuery), body, secret);
        using var limit = new CancellationTokenSource(AnswerLimit, wall.Clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        HttpResponseMessage response;
        try
        {
            response = await upstream.SendAsync(request, repeatable && !head.HasBody, both.Token);
        }
        catch (Exception problem) when (problem is HttpRequestException or IOException or AuthenticationException or SocketException or InvalidOperationException || (problem is OperationCanceledException && limit.IsCancellationRequested))
        {
            return body.Failure is MalformedBodyException malformed ? await DenyAsync(400, ErrorCodes.EgressMalformed, $"caisson: the request is refused: {malformed.Message}")
                : wall.Meter.IsOver ? await DenyAsync(403, ErrorCodes.EgressBudget, wall.Meter.Reason)
                : await DenyAsync(502, ErrorCodes.EgressUnreachable, $"caisson: {target.Host.Name}:{target.Port} could not be asked ({Innermost(problem)}); try again later");
        }

        // 6.
        using (response)
        {
            if (secret is not null && response.Content.Headers.ContentEncoding.Any(e => e != "identity"))
                return await DenyAsync(502, ErrorCodes.EgressEncoded, $"caisson: the answer of {target.Host.Name}:{target.Port} is encoded, although it was asked not to be: it may show the secret '{secret.Name}', so it is not passed on");
            var kept = await AnswerAsync(response, head, secret, target, cancellationToken);
            return kept && body.IsDone;
        }

        async Task<bool> DenyAsync(int status, string code, string reason)
        {
            wall.Decided(code, head.Method, target.Host.Name, target.Port, shown, reason: reason);
            await writer.DenyAsync(status, code, reason, close: head.Close || head.HasBody, withBody: head.Method != "HEAD", cancellationToken);
            return !head.Close && !head.HasBody;
        }
    }

    private static HttpRequestMessage Request(RequestHead head, Uri uri, BoxBody body, Secret? secret)
    {
        var request = new HttpRequestMessage(new HttpMethod(head.Method), uri)
        {
            Version = System.Net.HttpVersion.Version11,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = head.HasBody || head.Method is "POST" or "PUT" or "PATCH" ? body : null,
        };
        foreach (var header in head.Headers)
        {
            if (header.Is("Host") || header.Is("Content-Length") || HopHeaders.OverridesRequest(header.Name))
                continue;
            if (secret is not null && (header.Is(secret.HeaderName) || header.Is("Accept-Encoding") || header.Is("Range") || header.Is("If-Range")))
                continue;
            if (!request.Headers.TryAddWithoutValidation(header.Name, header.Value))
                request.Content?.Headers.TryAddWithoutValidation(header.Name, header.Value);
        }

        // The answer must be readable whole: a secret would not be found in one that is compressed or cut into ranges.
        if (secret is not null)
        {
            request.Headers.TryAddWithoutValidation(secret.HeaderName, secret.HeaderValue);
            request.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        }

        return request;
    }

    private async Task<bool> AnswerAsync(HttpResponseMessage response, RequestHead head, Secret? secret, RequestTarget target, CancellationToken cancellationToken)
    {
        var status = (int)response.StatusCode;
        var scrubber = secret is null ? null : new SecretScrubber(secret.Value.Span);
        var length = response.Content.Headers.ContentLength;
        var hasBody = head.Method != "HEAD" && status is not (204 or 304);
        var chunked = hasBody && length is null && head.Is11;
        var close = head.Close || (hasBody && length is null && !head.Is11);
        var headers = HeadersOf(response, scrubber);
        if (length is { } known && (hasBody || head.Method == "HEAD"))
            headers.Add(new HeaderLine("Content-Length", known.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        if (chunked)
            headers.Add(new HeaderLine("Transfer-Encoding", "chunked"));
        headers.Add(new HeaderLine("Connection", close ? "close" : "keep-alive"));
        await writer.HeadAsync(status, headers, cancellationToken);
        if (!hasBody)
            return !close;
        try
        {
            await CopyAsync(response, scrubber, chunked, cancellationToken);
        }
        catch (Exception problem) when (problem is EgressBudgetException or HttpIOException or HttpRequestException)
        {
            // The answer has begun: that it is cut can be seen by its framing, and why by asking again.
            var over = wall.Meter.IsOver;
            wall.Decided(over ? ErrorCodes.EgressBudget : ErrorCodes.EgressUnreachable, head.Method, target.Host.Name, target.Port,
                reason: over ? wall.Meter.Reason : $"caisson: the answer of {target.Host.Name}:{target.Port} ended too early");
            return false;
        }

        return !close;
    }

    private async Task CopyAsync(HttpResponseMessage response, SecretScrubber? scrubber, bool chunked, CancellationToken cancellationToken)
    {
        await using var from = await response.Content.ReadAsStreamAsync(cancellationToken);
        var buffer = new byte[16 << 10];
        while (await from.ReadAsync(buffer, cancellationToken) is > 0 and var read)
            await PutAsync(scrubber is null ? buffer.AsMemory(0, read) : scrubber.Next(buffer.AsSpan(0, read)));
        if (scrubber is not null)
            await PutAsync(scrubber.Last());
        if (chunked)
            await writer.LastChunkAsync(cancellationToken);

        Task PutAsync(ReadOnlyMemory<byte> bytes) => chunked ? writer.ChunkAsync(bytes, cancellationToken) : writer.WriteAsync(bytes, cancellationToken);
    }

    private static List<HeaderLine> HeadersOf(HttpResponseMessage response, SecretScrubber? scrubber)
    {
        var options = response.Headers.Connection.ToHashSet(StringComparer.OrdinalIgnoreCase);
        var headers = new List<HeaderLine>();
        foreach (var (name, values) in Lines(response.Headers.NonValidated).Concat(Lines(response.Content.Headers.NonValidated)))
        {
            // What names another protocol or port would lead clients past this proxy.
            if (HopHeaders.IsReserved(name) || options.Contains(name) || name.Equals("Alt-Svc", StringComparison.OrdinalIgnoreCase) || name.Equals(ResponseWriter.DeniedHeader, StringComparison.OrdinalIgnoreCase))
                continue;
            headers.AddRange(values.Select(value => new HeaderLine(name, scrubber is null ? value : scrubber.Text(value))));
        }

        return headers;
    }

    private static IEnumerable<(string Name, IEnumerable<string> Values)> Lines(HttpHeadersNonValidated headers) => headers.Select(h => (h.Key, h.Value.AsEnumerable()));

    private static string Innermost(Exception problem) => (problem.GetBaseException() is { } inner ? inner.Message : problem.Message).ReplaceLineEndings(" ");

    public void Dispose() => _upstreams.Dispose();
}
