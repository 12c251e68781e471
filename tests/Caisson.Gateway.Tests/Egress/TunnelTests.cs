using System.Net;
using System.Net.Security;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Tests.Egress;

public sealed class TunnelTests
{
    private const string Host = "tunnel.test.example";

    private static EgressRig Rig(Origin origin, string more = "")
    {
        var rig = new EgressRig($"{{ host: \"*.test.example\", port: {origin.Port} }}", [origin.Address], more);
        rig.Resolver.Names[Host] = _ => [IPAddress.Loopback];
        return rig;
    }

    private static async Task<(Stream Stream, string Answer)> ConnectAsync(EgressRig rig, string authority)
    {
        var stream = await rig.DialAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        var answer = new StringBuilder();
        var one = new byte[1];
        while (!answer.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && await stream.ReadAsync(one) == 1)
            answer.Append((char)one[0]);
        return (stream, answer.ToString());
    }

    [Fact]
    public async Task A_tunnel_goes_from_end_to_end_and_is_known_to_be_unseen()
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin);
        rig.Log.OnIntent = _ => Assert.Equal(0, origin.Connections);
        var (stream, answer) = await ConnectAsync(rig, $"{Host}:{origin.Port}");

        await using var tls = new SslStream(stream, false, (_, certificate, _, _) => certificate!.Subject == "CN=" + Host);
        await tls.AuthenticateAsClientAsync(Host);
        await tls.WriteAsync(Encoding.ASCII.GetBytes($"DELETE /x HTTP/1.1\r\nHost: {Host}\r\nX-Then: close\r\n\r\n"));

        Assert.Equal("HTTP/1.1 200 Connection Established\r\n\r\n", answer);
        Assert.EndsWith("hello", await EgressRig.ReadAllAsync(tls), StringComparison.Ordinal);
        Assert.Equal("DELETE /x HTTP/1.1", origin.Requests.Single().Line);
        Assert.Equal(new EgressIntent(EgressKind.Tunnel, Host, origin.Port), rig.Log.Intents.Single());
        Assert.Equal([EgressDecision.Unrecorded], rig.Log.Codes);
        await stream.DisposeAsync();
        await rig.SettledAsync();
        Assert.InRange(rig.Log.Sent, 300, 10_000);
        Assert.InRange(rig.Log.Received, 300, 10_000);
    }

    [Theory]
    [InlineData("sub.test.example:443")]
    [InlineData("other.example:PORT")]
    [InlineData("test.example:PORT")]
    [InlineData("169.254.169.254:PORT")]
    public async Task What_no_rule_names_gets_no_tunnel(string authority)
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin);

        var (stream, answer) = await ConnectAsync(rig, authority.Replace("PORT", origin.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 403 caisson: CONNECT ", answer, StringComparison.Ordinal);
        Assert.Contains("Caisson-Denied: egress_denied", answer, StringComparison.Ordinal);
        Assert.Empty(rig.Resolver.Asked);
        await stream.DisposeAsync();
    }

    [Theory]
    [InlineData("other.test.example")]
    [InlineData("")]
    public async Task Another_name_in_TLS_or_none_ends_it_before_anything_leaves(string sni)
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin);
        var (stream, _) = await ConnectAsync(rig, $"{Host}:{origin.Port}");

        await using var tls = new SslStream(stream, false, (_, certificate, _, _) => certificate is not null);
        await Assert.ThrowsAnyAsync<Exception>(() => tls.AuthenticateAsClientAsync(sni));
        await stream.DisposeAsync();
        await rig.SettledAsync();

        Assert.Equal([ErrorCodes.EgressName], rig.Log.Codes);
        Assert.Empty(rig.Log.Intents);
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task What_is_not_TLS_goes_nowhere()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);
        var (stream, _) = await ConnectAsync(rig, $"{Host}:{origin.Port}");

        await stream.WriteAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        var answer = await EgressRig.ReadAllAsync(stream);

        Assert.Equal(7, answer.Length);
        Assert.Equal(0, origin.Connections);
        await stream.DisposeAsync();
    }

    [Fact]
    public async Task Without_a_durable_intent_nothing_leaves()
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin);
        rig.Log.Owned = false;
        var (stream, _) = await ConnectAsync(rig, $"{Host}:{origin.Port}");

        await using var tls = new SslStream(stream, false, (_, certificate, _, _) => certificate is not null);
        await Assert.ThrowsAnyAsync<Exception>(() => tls.AuthenticateAsClientAsync(Host));

        Assert.Equal([ErrorCodes.EgressStopped], rig.Log.Codes);
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task A_tunnel_is_cut_at_the_budget()
    {
        await using var origin = new Origin(Host, _ => ["HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", new string('x', 900_000)]);
        await using var rig = Rig(origin, "egress_bytes: 100KiB");
        var (stream, _) = await ConnectAsync(rig, $"{Host}:{origin.Port}");

        await using var tls = new SslStream(stream, false, (_, certificate, _, _) => certificate is not null);
        await tls.AuthenticateAsClientAsync(Host);
        await tls.WriteAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        var answer = await EgressRig.ReadAllAsync(tls);
        await stream.DisposeAsync();
        await rig.SettledAsync();

        Assert.InRange(answer.Length, 1_000, 200_000);
        Assert.Equal([EgressDecision.Unrecorded, ErrorCodes.EgressBudget], rig.Log.Codes);
    }

    [Fact]
    public async Task A_service_is_reached_at_its_granted_address_and_journaled_first()
    {
        await using var origin = new Origin();
        await using var rig = new EgressRig("", more: "services: [{ name: db, port: 5432 }]", services: new Dictionary<string, IPEndPoint> { ["db"] = origin.Address }, door: "db");
        rig.Log.OnIntent = _ => Assert.Equal(0, origin.Connections);

        var answer = await rig.SayAsync("GET / HTTP/1.1\r\nX-Then: close\r\n\r\n");
        await rig.SettledAsync();

        Assert.EndsWith("hello", answer, StringComparison.Ordinal);
        Assert.Equal(new EgressIntent(EgressKind.Service, "db", 5432), rig.Log.Intents.Single());
        Assert.Equal([EgressDecision.Unrecorded], rig.Log.Codes);
        Assert.Equal(33, rig.Log.Sent);
        Assert.Equal(Origin.Ok.Length, rig.Log.Received);
        Assert.Equal([5432], rig.Doors.Forwards.Select(f => f.Port));
    }

    [Fact]
    public async Task A_manifest_that_wants_more_than_is_granted_is_refused()
    {
        await using var rig = new EgressRig("{ host: api.test.example, secret: token }");

        Assert.Null(rig.Gate.Problem(rig.Manifest));
        Assert.Equal(ErrorCodes.EgressNotGranted, rig.Gate.Problem(rig.Manifest with { Services = [new ServiceSetting("db", 5432)] })?.Code);
        Assert.Equal(ErrorCodes.EgressNotGranted, rig.Gate.Problem(rig.Manifest with { Egress = [new EgressRule("api.test.example", 443, EgressMode.Https) { Secret = "other" }] })?.Code);
        Assert.Contains("may not go to evil.example", rig.Gate.Problem(rig.Manifest with { Egress = [new EgressRule("evil.example", 443, EgressMode.Https) { Secret = "token" }] })?.Message, StringComparison.Ordinal);
        Assert.NotNull(rig.Gate.Problem(rig.Manifest with { Egress = [new EgressRule("*.example", 443, EgressMode.Https) { Secret = "token" }] }));
        Assert.Null(rig.Gate.Problem(rig.Manifest with { Egress = [new EgressRule("*.a.granted.example", 443, EgressMode.Https) { Secret = "token" }] }));
    }

    [Fact]
    public async Task The_box_gets_what_programs_need_to_find_the_proxy_and_to_trust_it()
    {
        await using var rig = new EgressRig("{ host: api.test.example, secret: token }");

        var environment = rig.Doors.Environment;
        Assert.Equal("http://127.0.0.1:3128", environment["https_proxy"]);
        Assert.Equal("/run/box/ca.pem", environment["SSL_CERT_FILE"]);
        Assert.Equal("caisson-secret-token", environment["CAISSON_SECRET_TOKEN"]);
        Assert.DoesNotContain(environment.Values.Concat(rig.Doors.Files.Values.Select(f => Encoding.ASCII.GetString(f.Span))), v => v.Contains("PRIVATE", StringComparison.Ordinal) || v.Contains(EgressRig.SecretValue, StringComparison.Ordinal));
        Assert.Contains("BEGIN CERTIFICATE", Encoding.ASCII.GetString(rig.Doors.Files["ca.pem"].Span), StringComparison.Ordinal);
        Assert.Equal([3128], rig.Doors.Forwards.Select(f => f.Port));
    }
}
