using System.Net;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Processes;
using Caisson.Gateway.Egress;
using Microsoft.Extensions.Logging;
using ModelContextProtocol.Client;

namespace Caisson.Gateway.Mcp;

/// <summary>
/// The way to a server at an address: the wall of boxes, with the one rule that the manifest's <c>url</c> is. Private
/// addresses are refused, the secret comes in here and is starred out of what comes back, and every request is written
/// down with the run's egress.
/// </summary>
internal sealed class McpHttp : HttpMessageHandler
{
    private readonly Uri _url;
    private readonly HostName _host;
    private readonly BoxWall _wall;
    private readonly Secret? _secret;
    private readonly Upstreams _upstreams;

    private McpHttp(Uri url, BoxWall wall, Secret? secret)
    {
        (_url, _wall, _secret) = (url, wall, secret);
        _host = HostName.TryParse(url.Host.Trim('[', ']'))!;
        _upstreams = new Upstreams(wall);
    }

    /// <exception cref="StepFailedException">There is no server there that can be used.</exception>
    public static async Task<McpLink> ConnectAsync(McpServerSettings server, EgressGate gate, IProcessTools tools, long? mostBytes, Func<bool> isAtWork, ILoggerFactory logs, CancellationToken cancellationToken)
    {
        var (wall, secret) = gate.WallFor(server, tools.EgressLog(isAtWork), mostBytes);
        var url = new Uri(server.Url!);
#pragma warning disable CA2000 // They end with the connection, below.
        var client = new HttpClient(new McpHttp(url, wall, secret)) { Timeout = Timeout.InfiniteTimeSpan };
        var transport = new HttpClientTransport(new HttpClientTransportOptions
        {
            Endpoint = url,
            TransportMode = HttpTransportMode.StreamableHttp,
            EnableStandaloneGetStream = false,
            MaxReconnectionAttempts = 0,
        }, client, logs, ownsHttpClient: false);
#pragma warning restore CA2000
        return await McpLink.OpenAsync(server, transport, null, CloseAsync, gate.Clock, logs, cancellationToken);

        async ValueTask CloseAsync()
        {
            await transport.DisposeAsync();
            client.Dispose();
            wall.Authority.Dispose();
        }
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var (method, path) = (request.Method.Method, _url.AbsolutePath);
        if (request.RequestUri != _url)
            throw Deny(ErrorCodes.EgressDenied, "caisson: an MCP server is asked at its own address only");
        var (upstream, refusal) = await _upstreams.OpenAsync(_host, _url.Port, cancellationToken);
        if (upstream is null)
            throw Deny(refusal!.Code, refusal.Reason, refusal.Code == ErrorCodes.EgressUnreachable ? null : HttpStatusCode.Forbidden);
        if (_wall.Meter.IsOver)
            throw Deny(ErrorCodes.EgressBudget, _wall.Meter.Reason);
        var mayGo = method == "DELETE" ? _wall.Log.MaySend : await _wall.Log.IntentAsync(new EgressIntent(EgressKind.Request, _host.Name, _url.Port, method, path, _secret?.Name), cancellationToken);
        if (!mayGo)
            throw Deny(ErrorCodes.EgressStopped, Tunnel.Stopped(_host.Name, _url.Port), null);
        _wall.Decided(EgressDecision.Allowed, method, _host.Name, _url.Port, path, _secret?.Name);
        request.Headers.Remove("Accept-Encoding");
        if (_secret is not null)
        {
            request.Headers.Remove(_secret.HeaderName);
            request.Headers.TryAddWithoutValidation(_secret.HeaderName, _secret.HeaderValue);
        }

        // The answer must be readable whole: a secret would not be found in one that is compressed.
        request.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        var response = await upstream.SendAsync(request, repeatable: false, cancellationToken);
        if (response.Content.Headers.ContentEncoding.Any(e => e != "identity"))
        {
            response.Dispose();
            throw Deny(ErrorCodes.EgressEncoded, $"caisson: the answer of {_host.Name}:{_url.Port} is encoded, although it was asked not to be");
        }

        var content = new StreamContent(new AnswerStream(await response.Content.ReadAsStreamAsync(cancellationToken), _secret));
        foreach (var header in response.Content.Headers.Where(h => !string.Equals(h.Key, "Content-Length", StringComparison.OrdinalIgnoreCase)))
            content.Headers.TryAddWithoutValidation(header.Key, header.Value);
        response.Content = content;
        return response;

        HttpRequestException Deny(string code, string reason, HttpStatusCode? status = HttpStatusCode.Forbidden)
        {
            _wall.Decided(code, method, _host.Name, _url.Port, path, _secret?.Name, reason);
            return new HttpRequestException(reason, null, status);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _upstreams.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>An answer within its bound, without the secret that the request had.</summary>
    private sealed class AnswerStream(Stream inner, Secret? secret) : PassingStream(inner)
    {
        private const int MostBytes = 16 << 20;

        private readonly SecretScrubber? _scrubber = secret is null ? null : new SecretScrubber(secret.Value.Span);
        private ReadOnlyMemory<byte> _clean;
        private long _total;
        private bool _isOver;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (_clean.IsEmpty && !_isOver && buffer.Length > 0)
            {
                var read = await Inner.ReadAsync(buffer, cancellationToken);
                if ((_total += read) > MostBytes)
                    throw new IOException($"an answer of more than {MostBytes >> 20} MiB");
                if (_scrubber is null)
                    return read;
                _isOver = read == 0;
                _clean = _isOver ? _scrubber.Last() : _scrubber.Next(buffer.Span[..read]);
            }

            var given = Math.Min(buffer.Length, _clean.Length);
            _clean[..given].CopyTo(buffer);
            _clean = _clean[given..];
            return given;
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => throw new NotSupportedException("an answer is only read");

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                Inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
