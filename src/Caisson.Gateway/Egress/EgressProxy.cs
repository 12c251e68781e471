using System.Net.Security;
using System.Security.Authentication;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Sandboxes;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Egress.Http;
using Caisson.Gateway.Egress.Tls;

namespace Caisson.Gateway.Egress;

/// <summary>
/// The HTTP proxy of one box: the only way from it to the network.
/// <para>
/// Problem: everything in the box is hostile, and everything that it may reach is dangerous. Each request goes through
/// the same stations: parsed strictly → rules (before any name is looked up) → address (looked up here, checked, and kept
/// for the connection) → budget → intent made durable, where the request may change the world → sent. A station that says
/// no ends it, with a reason that the model can read. If the box dies its connections end; if this process dies, what was
/// sent stands in the journal as an intent of the step.
/// </para>
/// </summary>
internal sealed class EgressProxy(BoxWall wall) : IBoxService
{
    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(15);

    public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
    {
        var (reader, writer) = (new BoxReader(connection, wall.Clock), new ResponseWriter(connection));
        using var exchange = new Exchange(wall, reader, writer);
        while (await NextAsync(reader, writer, inside: null, cancellationToken) is { } head)
        {
            if (head.Method == "CONNECT")
            {
                await ConnectAsync(head, connection, reader, writer, cancellationToken);
                return;
            }

            var (target, problem) = RequestTarget.OfProxy(head);
            if (target is null)
            {
                await MalformedAsync(writer, 400, problem!, null, cancellationToken);
                return;
            }

            if (!await exchange.RunAsync(head, target, secure: false, cancellationToken))
                return;
        }
    }

    /// <summary>The next request; <c>null</c> where none comes, or none that can be read.</summary>
    private async Task<RequestHead?> NextAsync(BoxReader reader, ResponseWriter writer, Authority? inside, CancellationToken cancellationToken)
    {
        switch (await reader.ReadHeadAsync(cancellationToken))
        {
            case HeadRead.Head head:
                if (RequestParser.Parse(head.Bytes.Span) is ParseOutcome.Parsed parsed)
                    return parsed.Head;
                await MalformedAsync(writer, 400, ((ParseOutcome.Malformed)RequestParser.Parse(head.Bytes.Span)).Problem, inside, cancellationToken);
                return null;
            case HeadRead.TooLong:
                await MalformedAsync(writer, 431, "its head is too long", inside, cancellationToken);
                return null;
            case HeadRead.Cut:
                await MalformedAsync(writer, 408, "its head did not come to an end in time", inside, cancellationToken);
                return null;
            default:
                return null;
        }
    }

    private async Task MalformedAsync(ResponseWriter writer, int status, string problem, Authority? inside, CancellationToken cancellationToken)
    {
        var reason = $"caisson: the request is refused: {problem}; use a client that speaks plain HTTP/1.1";
        wall.Decided(ErrorCodes.EgressMalformed, "HTTP", inside?.Host.Name ?? "", inside?.Port ?? 0, reason: reason);
        await writer.DenyAsync(status, ErrorCodes.EgressMalformed, reason, close: true, withBody: true, cancellationToken);
    }

    private async Task ConnectAsync(RequestHead head, Stream connection, BoxReader reader, ResponseWriter writer, CancellationToken cancellationToken)
    {
        if (Authority.TryParse(head.Target, usual: null) is not { } to || head.HasBody || (head.Host is { } named && Authority.TryParse(named, to.Port) is { } other && other.Host != to.Host))
        {
            await MalformedAsync(writer, 400, "CONNECT takes HOST:PORT and nothing else", null, cancellationToken);
            return;
        }

        var verdict = wall.Policy.Connect(to.Host, to.Port);
        if (verdict is ConnectVerdict.Denied denied)
        {
            await DenyAsync(writer, 403, denied.Code, to, denied.Reason, cancellationToken);
            return;
        }

        // Before the box is told that it is connected: afterwards it could not be told why not.
        switch (await wall.Destinations.FindAsync(to.Host, to.Port, cancellationToken))
        {
            case Destination.Refused refused:
                await DenyAsync(writer, refused.Code == ErrorCodes.EgressUnreachable ? 502 : 403, refused.Code, to, refused.Reason, cancellationToken);
                return;
            case Destination.Found when wall.Meter.IsOver:
                await DenyAsync(writer, 403, ErrorCodes.EgressBudget, to, wall.Meter.Reason, cancellationToken);
                return;
            case Destination.Found found:
                await writer.EstablishedAsync(cancellationToken);
                if (!await IsForAsync(to, reader, connection, cancellationToken))
                    return;
                if (verdict is ConnectVerdict.Tunnel)
                    await Tunnel.RunAsync(wall, EgressKind.Tunnel, to, found.Addresses, connection, reader, cancellationToken);
                else
                    await InspectAsync(to, found, connection, reader, cancellationToken);
                return;
        }
    }

    private async Task DenyAsync(ResponseWriter writer, int status, string code, Authority to, string reason, CancellationToken cancellationToken)
    {
        wall.Decided(code, "CONNECT", to.Host.Name, to.Port, reason: reason);
        await writer.DenyAsync(status, code, reason, close: true, withBody: true, cancellationToken);
    }

    /// <summary>Whether the client says within TLS the same host as before it.</summary>
    private async Task<bool> IsForAsync(Authority to, BoxReader reader, Stream connection, CancellationToken cancellationToken)
    {
        var problem = await HelloProblemAsync(to, reader, cancellationToken);
        if (problem is null)
            return true;
        wall.Decided(ErrorCodes.EgressName, "CONNECT", to.Host.Name, to.Port, reason: $"caisson: the connection to {to.Host.Name}:{to.Port} is refused: {problem}");
        await connection.WriteAsync(TlsAlerts.AccessDenied, cancellationToken);
        return false;
    }

    private async Task<string?> HelloProblemAsync(Authority to, BoxReader reader, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(HandshakeLimit, wall.Clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        while (true)
        {
            switch (ClientHello.Read(reader.Buffered.Span))
            {
                case HelloRead.Malformed malformed:
                    return malformed.Problem;
                case HelloRead.Hello { Hides: true }:
                    return "it hides the name of its server (ECH)";
                case HelloRead.Hello { Name: null }:
                    return to.Host.Address is null ? "it names no server (SNI)" : null;
                case HelloRead.Hello hello:
                    return HostName.TryParse(hello.Name!) == to.Host ? null : "it names another server than it asked for (SNI)";
            }

            try
            {
                if (!await reader.FillAsync(both.Token))
                    return "it ended before its ClientHello did";
            }
            catch (OperationCanceledException) when (limit.IsCancellationRequested)
            {
                return "its ClientHello did not come to an end in time";
            }
        }
    }

    private async Task InspectAsync(Authority to, Destination.Found found, Stream connection, BoxReader hello, CancellationToken cancellationToken)
    {
        var opened = new SslStream(new BegunStream(hello, connection), leaveInnerStreamOpen: true);
        await using var _ = opened;
        if (!await HandshakeAsync(to, opened, cancellationToken))
            return;
        var (reader, writer) = (new BoxReader(opened, wall.Clock), new ResponseWriter(opened));
        using var exchange = new Exchange(wall, reader, writer);
        exchange.Pin(to.Host, to.Port, found);
        for (var head = await FirstAsync(to, reader, writer, cancellationToken); head is not null; head = await NextAsync(reader, writer, to, cancellationToken))
        {
            var (target, problem) = RequestTarget.OfConnection(head, to.Host, to.Port);
            if (target is null)
            {
                await MalformedAsync(writer, 400, problem!, to, cancellationToken);
                return;
            }

            if (!await exchange.RunAsync(head, target, secure: true, cancellationToken))
                break;
        }

        await opened.ShutdownAsync();
    }

    /// <summary>Many clients look at the certificate when the handshake is over, and then say what they think of it, or just go.</summary>
    private async Task<RequestHead?> FirstAsync(Authority to, BoxReader reader, ResponseWriter writer, CancellationToken cancellationToken)
    {
        try
        {
            var head = await NextAsync(reader, writer, to, cancellationToken);
            if (!reader.HasRead)
                Untrusted(to);
            return head;
        }
        catch (IOException) when (!reader.HasRead)
        {
            Untrusted(to);
            return null;
        }
    }

    private async Task<bool> HandshakeAsync(Authority to, SslStream opened, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(HandshakeLimit, wall.Clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await opened.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
            {
                ServerCertificateContext = wall.Authority.LeafOf(to.Host),
                ApplicationProtocols = [SslApplicationProtocol.Http11],
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            }, both.Token);
            return true;
        }
        catch (Exception problem) when (problem is AuthenticationException or IOException || (problem is OperationCanceledException && limit.IsCancellationRequested))
        {
            Untrusted(to);
            return false;
        }
    }

    /// <summary>It does not get a tunnel instead: then every rule could be walked around by trusting nobody.</summary>
    private void Untrusted(Authority to) => wall.Decided(ErrorCodes.EgressUntrusted, "CONNECT", to.Host.Name, to.Port,
        reason: $"caisson: the connection to {to.Host.Name}:{to.Port} is refused: the client does not accept the box's authority; have it trust the file in SSL_CERT_FILE");
}

internal static class TlsAlerts
{
    /// <summary>Fatal: access denied.</summary>
    internal static readonly byte[] AccessDenied = [21, 3, 3, 0, 2, 2, 49];

    /// <summary>Fatal: internal error.</summary>
    internal static readonly byte[] InternalError = [21, 3, 3, 0, 2, 2, 80];
}
