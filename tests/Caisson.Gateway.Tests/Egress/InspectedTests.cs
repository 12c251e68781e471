using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Tests.Egress;

public sealed class InspectedTests
{
    private const string Host = "api.test.example";

    private static EgressRig Rig(Origin origin, string rule = "secret: token", string header = "Authorization: Bearer {secret}")
    {
        var rig = new EgressRig($"{{ host: {Host}, port: {origin.Port}, mode: https, {rule} }}", [origin.Address], header: header);
        rig.Resolver.Names[Host] = _ => [IPAddress.Loopback];
        return rig;
    }

    private static Uri Url(Origin origin, string path = "/") => new($"https://{Host}:{origin.Port}{path}");

    [Fact]
    public async Task A_secret_is_put_in_outside_and_taken_out_of_what_comes_back()
    {
        // The server echoes what it gets, in the header and in pieces of the body.
        await using var origin = new Origin(Host, r =>
            [$"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Echo: {r.Header("Authorization")}\r\n\r\n", "12\r\nyour token: s3cr3t\r\n", "7\r\n/tok+en\r\n", "b\r\n-Value, ok?\r\n", "0\r\n\r\n"]);
        await using var rig = Rig(origin);

        using var client = rig.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, Url(origin, "/me"));
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer caisson-secret-token");
        request.Headers.TryAddWithoutValidation("Accept-Encoding", "gzip, br");
        request.Headers.TryAddWithoutValidation("Range", "bytes=0-3");
        var answer = await client.SendAsync(request);

        var sent = origin.Requests.Single();
        Assert.Equal($"Bearer {EgressRig.SecretValue}", sent.Header("Authorization"));
        Assert.Equal("identity", sent.Header("Accept-Encoding"));
        Assert.Null(sent.Header("Range"));
        Assert.Equal($"Bearer {new string('*', EgressRig.SecretValue.Length)}", answer.Headers.GetValues("X-Echo").Single());
        Assert.Equal($"your token: {new string('*', EgressRig.SecretValue.Length)}, ok?", await answer.Content.ReadAsStringAsync());
        Assert.Equal(new EgressIntent(EgressKind.Request, Host, origin.Port, "GET", "/me", "token"), rig.Log.Intents.Single());
        Assert.DoesNotContain(rig.Log.Decisions, d => d.ToString().Contains("s3cr3t", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("secret: token", "POST", "/x")]
    [InlineData("secret: token, paths: [/me]", "GET", "/x")]
    [InlineData("secret: token, paths: [/me]", "GET", "/me/../x")]
    [InlineData("secret: token, methods: [PUT], paths: [/me]", "GET", "/me")]
    public async Task A_secret_never_goes_where_its_rule_does_not(string rule, string method, string path)
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin, rule);

        using var client = rig.Client();
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(Url(origin).GetLeftPart(UriPartial.Authority) + path, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
        var answer = await client.SendAsync(request);

        Assert.Equal(ErrorCodes.EgressDenied, answer.Headers.GetValues("Caisson-Denied").Single());
        Assert.Empty(origin.Requests);
        Assert.Empty(rig.Log.Intents);
    }

    [Fact]
    public async Task A_rule_without_the_secret_sends_none()
    {
        await using var origin = new Origin(Host);
        await using var rig = new EgressRig($"{{ host: {Host}, port: {origin.Port}, mode: https, paths: [/me], secret: token }}\n{{ host: {Host}, port: {origin.Port}, mode: https, methods: [POST] }}", [origin.Address]);
        rig.Resolver.Names[Host] = _ => [IPAddress.Loopback];

        using var client = rig.Client();
        await client.PostAsync(Url(origin, "/me"), new StringContent("x"));

        Assert.Null(origin.Requests.Single().Header("Authorization"));
    }

    [Fact]
    public async Task An_encoded_answer_to_a_secret_is_not_passed_on()
    {
        await using var origin = new Origin(Host, _ => ["HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"]);
        await using var rig = Rig(origin);

        using var client = rig.Client();
        var answer = await client.GetAsync(Url(origin));

        Assert.Equal(ErrorCodes.EgressEncoded, answer.Headers.GetValues("Caisson-Denied").Single());
    }

    [Fact]
    public async Task A_client_that_does_not_trust_the_box_gets_no_tunnel_instead()
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin, "methods: [GET]");

        using var client = rig.Client(trusting: false);
        await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(Url(origin)));
        await rig.SettledAsync();

        Assert.Equal([ErrorCodes.EgressUntrusted], rig.Log.Codes);
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task A_server_with_a_certificate_for_another_name_is_not_asked()
    {
        await using var origin = new Origin("other.example");
        await using var rig = Rig(origin);

        using var client = rig.Client();
        var answer = await client.GetAsync(Url(origin));

        Assert.Equal(ErrorCodes.EgressUnreachable, answer.Headers.GetValues("Caisson-Denied").Single());
        Assert.Empty(origin.Requests);
    }

    [Fact]
    public async Task A_redirect_is_handed_back_so_that_no_secret_follows_it()
    {
        await using var origin = new Origin(Host, _ => ["HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"]);
        await using var rig = Rig(origin);

        using var client = rig.Client();
        await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(Url(origin)));

        Assert.Single(origin.Requests);
        Assert.Contains(rig.Log.Decisions, d => d is { Code: ErrorCodes.EgressDenied, Host: "elsewhere.example" });
        Assert.Equal([Host], rig.Resolver.Asked);
    }

    [Theory]
    [InlineData("other.example", "GET / HTTP/1.1\r\nHost: api.test.example:PORT\r\n\r\n", false)]
    [InlineData(Host, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", true)]
    [InlineData(Host, "GET https://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n", true)]
    [InlineData(Host, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n", true)]
    [InlineData(Host, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true)]
    public async Task Name_of_the_connection_name_in_TLS_and_Host_are_one(string sni, string request, bool reachesHttp)
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin, "methods: [GET]");

        await using var stream = await rig.DialAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"CONNECT {Host}:{origin.Port} HTTP/1.1\r\nHost: {Host}:{origin.Port}\r\n\r\n"));
        var established = new byte[39];
        await stream.ReadExactlyAsync(established);
        await using var tls = new SslStream(stream, true, (_, certificate, _, _) => certificate is not null);
        if (!reachesHttp)
        {
            await Assert.ThrowsAnyAsync<Exception>(() => tls.AuthenticateAsClientAsync(sni));
            await stream.DisposeAsync();
            await rig.SettledAsync();
            Assert.Equal([ErrorCodes.EgressName], rig.Log.Codes);
        }
        else
        {
            await tls.AuthenticateAsClientAsync(sni);
            await tls.WriteAsync(Encoding.ASCII.GetBytes(request.Replace("PORT", origin.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal)));
            Assert.Contains("Caisson-Denied: egress_", await EgressRig.ReadAllAsync(tls), StringComparison.Ordinal);
        }

        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task Many_requests_go_over_one_connection_and_one_address()
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin, "methods: [GET, POST]");

        using var client = rig.Client();
        for (var i = 0; i < 5; i++)
            Assert.Equal("hello", await client.GetStringAsync(Url(origin, "/" + i)));
        await client.PostAsync(Url(origin, "/p"), new StringContent("x"));

        Assert.Single(rig.Resolver.Asked);
        Assert.Equal(6, origin.Requests.Count);

        // A request that must not happen twice goes over a connection that nobody has used.
        Assert.Equal(2, origin.Connections);
    }

    [Fact]
    public async Task Only_HTTP_1_1_is_spoken_inside()
    {
        await using var origin = new Origin(Host);
        await using var rig = Rig(origin, "methods: [GET]");

        await using var stream = await rig.DialAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"CONNECT {Host}:{origin.Port} HTTP/1.1\r\nHost: {Host}:{origin.Port}\r\n\r\n"));
        await stream.ReadExactlyAsync(new byte[39]);
        await using var tls = new SslStream(stream, true, (_, certificate, _, _) => rig.IsOfBox(certificate!));
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = Host, ApplicationProtocols = [SslApplicationProtocol.Http2, SslApplicationProtocol.Http11], EnabledSslProtocols = SslProtocols.Tls13 });

        Assert.Equal(SslApplicationProtocol.Http11, tls.NegotiatedApplicationProtocol);
    }
}
