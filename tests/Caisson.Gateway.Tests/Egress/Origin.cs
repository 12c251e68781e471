using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Caisson.Gateway.Tests.Egress;

internal sealed record OriginRequest(string Head, string Body)
{
    public string Line => Head.Split("\r\n")[0];

    public string? Header(string name) => Head.Split("\r\n").Skip(1).FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..].Trim();
}

/// <summary>A server on loopback that shows every byte it gets and answers byte by byte as a test wants.</summary>
internal sealed class Origin : IAsyncDisposable
{
    public const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentQueue<OriginRequest> _requests = [];
    private readonly Func<OriginRequest, IEnumerable<string>> _respond;
    private readonly X509Certificate2? _certificate;
    private int _connections;

    /// <param name="tls">Names that its certificate is for; <c>null</c> for plain TCP.</param>
    public Origin(string? tls = null, Func<OriginRequest, IEnumerable<string>>? respond = null)
    {
        _certificate = tls is null ? null : TestAuthority.Issue(tls);
        _respond = respond ?? (_ => [Ok]);
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public IPEndPoint Address => new(IPAddress.Loopback, Port);

    public IReadOnlyCollection<OriginRequest> Requests => _requests;

    public int Connections => _connections;

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var socket = await _listener.AcceptSocketAsync(_end.Token);
                Interlocked.Increment(ref _connections);
                _ = ServeAsync(socket);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            await using var raw = new NetworkStream(socket, ownsSocket: true);
            Stream stream = raw;
            if (_certificate is not null)
            {
                var tls = new SslStream(raw);
                await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _end.Token);
                stream = tls;
            }

            while (await ReadAsync(stream) is { } request)
            {
                _requests.Enqueue(request);
                foreach (var piece in _respond(request))
                {
                    await stream.WriteAsync(Encoding.Latin1.GetBytes(piece), _end.Token);
                    await stream.FlushAsync(_end.Token);
                }

                if (request.Header("X-Then") == "close")
                    return;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or AuthenticationException or ObjectDisposedException)
        {
        }
    }

    private async Task<OriginRequest?> ReadAsync(Stream stream)
    {
        var head = await UntilAsync(stream, "\r\n\r\n");
        if (head is null)
            return null;
        var request = new OriginRequest(head[..^4], "");
        if (request.Header("Content-Length") is { } length)
            return request with { Body = await ExactlyAsync(stream, int.Parse(length, CultureInfo.InvariantCulture)) };
        if (request.Header("Transfer-Encoding") is null)
            return request;
        var body = new StringBuilder();
        while (await UntilAsync(stream, "\r\n") is { } size && size != "0\r\n")
        {
            body.Append(await ExactlyAsync(stream, int.Parse(size[..^2], NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
            await ExactlyAsync(stream, 2);
        }

        await ExactlyAsync(stream, 2);
        return request with { Body = body.ToString() };
    }

    private async Task<string?> UntilAsync(Stream stream, string end)
    {
        var text = new StringBuilder();
        var one = new byte[1];
        while (!text.ToString().EndsWith(end, StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one, _end.Token) == 0)
                return null;
            text.Append((char)one[0]);
        }

        return text.ToString();
    }

    private async Task<string> ExactlyAsync(Stream stream, int count)
    {
        var bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes, _end.Token);
        return Encoding.Latin1.GetString(bytes);
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        _certificate?.Dispose();
        _end.Dispose();
    }
}

/// <summary>Signs the certificates of test servers. Valid whatever the day is.</summary>
internal static class TestAuthority
{
    private static readonly ECDsa Key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public static X509Certificate2 Certificate { get; } = Self();

    public static X509Certificate2 Issue(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=" + name, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using var bare = request.Create(Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(Key), DateTimeOffset.UnixEpoch.AddYears(50), DateTimeOffset.UnixEpoch.AddYears(79), [1, 2, 3, 4]);
        return bare.CopyWithPrivateKey(key);
    }

    private static X509Certificate2 Self()
    {
        var request = new CertificateRequest("CN=Test authority", Key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UnixEpoch.AddYears(49), DateTimeOffset.UnixEpoch.AddYears(80));
    }
}
