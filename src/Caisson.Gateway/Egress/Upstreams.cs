using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Addresses;

namespace Caisson.Gateway.Egress;

/// <summary>
/// The servers that one connection of the box talks to, each with the addresses that were found good when it was first
/// asked for: a name that answers otherwise the second time moves nothing.
/// </summary>
internal sealed class Upstreams(BoxWall wall) : IDisposable
{
    private const int Most = 8;
    private readonly Dictionary<(string Host, int Port), Upstream> _open = [];

    internal async Task<(Upstream? Upstream, Destination.Refused? Refusal)> OpenAsync(HostName host, int port, CancellationToken cancellationToken)
    {
        if (_open.TryGetValue((host.Name, port), out var known))
            return (known, null);
        return await wall.Destinations.FindAsync(host, port, cancellationToken) switch
        {
            Destination.Found found => (Pin(host, port, found), null),
            var other => (null, (Destination.Refused)other),
        };
    }

    internal Upstream Pin(HostName host, int port, Destination.Found found)
    {
        if (_open.Count >= Most)
            Dispose();
        return _open[(host.Name, port)] = new Upstream(wall, host, port, found.Addresses);
    }

    public void Dispose()
    {
        foreach (var upstream in _open.Values)
            upstream.Dispose();
        _open.Clear();
    }
}

/// <summary>One server, at fixed addresses.</summary>
internal sealed class Upstream : IDisposable
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    private readonly BoxWall _wall;
    private readonly HostName _host;
    private readonly int _port;
    private readonly IReadOnlyList<IPEndPoint> _addresses;
    private readonly HttpMessageInvoker _kept;
    private readonly HttpMessageInvoker _fresh;

    internal Upstream(BoxWall wall, HostName host, int port, IReadOnlyList<IPEndPoint> addresses)
    {
        (_wall, _host, _port, _addresses) = (wall, host, port, addresses);
        _kept = Invoker(TimeSpan.FromMinutes(5));

        // On a connection that was used before, the handler may send a request again that the server has acted on.
        _fresh = Invoker(TimeSpan.Zero);
    }

    internal Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, bool repeatable, CancellationToken cancellationToken) =>
        (repeatable ? _kept : _fresh).SendAsync(request, cancellationToken);

    /// <summary>The address as it was asked for: the path is neither decoded nor shortened on the way.</summary>
    internal Uri Uri(bool secure, string pathAndQuery)
    {
        var host = _host.Address is { AddressFamily: AddressFamily.InterNetworkV6 } ? $"[{_host.Name}]" : _host.Name;
        return new Uri($"{(secure ? "https" : "http")}://{host}:{_port}{pathAndQuery}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
    }

    private HttpMessageInvoker Invoker(TimeSpan life) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null,
        MaxConnectionsPerServer = 2,
        MaxResponseHeadersLength = 64,
        PooledConnectionLifetime = life,
        ConnectCallback = ConnectAsync,
        SslOptions = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateChainPolicy = ChainPolicy(),
            RemoteCertificateValidationCallback = Trusts,
        },
    });

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken) =>
        await Tunnel.ConnectAsync(_wall, _addresses, cancellationToken) is { } link
            ? new MeteredStream(link.Stream, _host.Name, _port, _wall.Meter, _wall.Log)
            : throw new SocketException((int)SocketError.HostUnreachable);

    private bool Trusts(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
            return true;
        if (errors != SslPolicyErrors.RemoteCertificateChainErrors || certificate is null || _wall.Trusted.Count == 0)
            return false;
        using var other = new X509Chain { ChainPolicy = ChainPolicy() };
        other.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        other.ChainPolicy.CustomTrustStore.AddRange(_wall.Trusted);
        if (chain is not null)
            other.ChainPolicy.ExtraStore.AddRange(chain.ChainElements.Select(e => e.Certificate).ToArray());
        using var leaf = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return other.Build(leaf);
    }

    /// <summary>Nothing is fetched that a certificate points to: its author would choose an address that this host then asks.</summary>
    private static X509ChainPolicy ChainPolicy()
    {
        var policy = new X509ChainPolicy { DisableCertificateDownloads = true, RevocationMode = X509RevocationMode.NoCheck };
        policy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        return policy;
    }

    public void Dispose()
    {
        _kept.Dispose();
        _fresh.Dispose();
    }
}
