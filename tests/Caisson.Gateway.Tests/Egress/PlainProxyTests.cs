using System.Net;
using Caisson.Contracts;
using Caisson.Core.Egress;
using CsCheck;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Egress;

public sealed class PlainProxyTests
{
    private static Gen<string> Words(params string[] words) => Gen.Int[0, words.Length - 1].Select(i => words[i]);

    private static EgressRig Rig(Origin origin, string rules = "", string more = "", TimeProvider? clock = null, long used = 0)
    {
        var rig = new EgressRig(rules.Length > 0 ? rules : $"{{ host: plain.test.example, port: {origin.Port}, mode: http }}", [origin.Address], more, clock, used: used);
        rig.Resolver.Names["plain.test.example"] = _ => [IPAddress.Loopback];
        return rig;
    }

    private static string Get(Origin origin, string path = "/", string host = "plain.test.example") =>
        $"GET http://{host}:{origin.Port}{path} HTTP/1.1\r\nHost: {host}:{origin.Port}\r\nConnection: close\r\n\r\n";

    [Fact]
    public async Task An_allowed_request_is_made_and_counted()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        using var client = rig.Client();
        var answer = await client.GetStringAsync(new Uri($"http://plain.test.example:{origin.Port}/x?y=%2e%2e/1", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));

        Assert.Equal("hello", answer);
        Assert.Equal("GET /x?y=%2e%2e/1 HTTP/1.1", origin.Requests.Single().Line);
        Assert.Equal($"plain.test.example:{origin.Port}", origin.Requests.Single().Header("Host"));
        Assert.Equal([EgressDecision.Allowed], rig.Log.Codes);
        Assert.Empty(rig.Log.Intents);
    }

    [Fact]
    public async Task What_no_rule_names_is_denied_before_any_name_is_looked_up()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        using var client = rig.Client();
        var answer = await client.GetAsync(new Uri($"http://other.example:{origin.Port}/x"));

        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Equal(ErrorCodes.EgressDenied, answer.Headers.GetValues("Caisson-Denied").Single());
        Assert.Equal($"caisson: GET other.example:{origin.Port} is denied: no rule of this agent names this host and port; do without it, or ask for a rule under 'egress' in the agent's manifest\n", await answer.Content.ReadAsStringAsync());
        Assert.Empty(rig.Resolver.Asked);
        Assert.Empty(rig.Connector.Asked);
        Assert.Empty(origin.Requests);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("2130706433")]
    [InlineData("0x7f.1")]
    [InlineData("0177.0.0.1")]
    [InlineData("[::ffff:127.0.0.1]")]
    public async Task Loopback_is_refused_in_every_spelling_even_where_a_rule_names_it(string host)
    {
        await using var origin = new Origin();
        await using var rig = new EgressRig($"{{ host: 127.0.0.1, port: {origin.Port}, mode: http }}");

        var answer = await rig.SayAsync(Get(origin, host: host));

        Assert.Contains("Caisson-Denied: egress_address", answer, StringComparison.Ordinal);
        Assert.Contains("loopback", answer, StringComparison.Ordinal);
        Assert.Empty(rig.Connector.Asked);
    }

    [Fact]
    public async Task One_private_address_among_public_ones_refuses_the_name()
    {
        await using var origin = new Origin();
        await using var rig = new EgressRig($"{{ host: mixed.test.example, port: {origin.Port}, mode: http }}");
        rig.Resolver.Names["mixed.test.example"] = _ => [IPAddress.Parse("8.8.8.8"), IPAddress.Parse("169.254.169.254")];

        var answer = await rig.SayAsync(Get(origin, host: "mixed.test.example"));

        Assert.Contains("Caisson-Denied: egress_address", answer, StringComparison.Ordinal);
        Assert.Empty(rig.Connector.Asked);
    }

    [Fact]
    public async Task A_name_that_answers_otherwise_the_second_time_moves_nothing()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);
        rig.Resolver.Names["plain.test.example"] = nth => [nth == 1 ? IPAddress.Loopback : IPAddress.Parse("127.0.0.2")];

        var answer = await rig.SayAsync(Get(origin, "/1").Replace("Connection: close\r\n", "", StringComparison.Ordinal) + Get(origin, "/2"));
        var later = await rig.SayAsync(Get(origin, "/3"));

        Assert.Equal(["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"], origin.Requests.Select(r => r.Line));
        Assert.Equal(2, answer.Split("hello").Length - 1);
        Assert.Contains("Caisson-Denied: egress_address", later, StringComparison.Ordinal);
        Assert.All(rig.Connector.Asked, a => Assert.Equal(origin.Address, a));
    }

    [Fact]
    public async Task A_redirect_is_handed_back_and_leads_nowhere_by_itself()
    {
        await using var origin = new Origin(respond: _ => ["HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n"]);
        await using var rig = Rig(origin);

        using var client = rig.Client();
        var answer = await client.GetAsync(new Uri($"http://plain.test.example:{origin.Port}/"));

        Assert.Equal(ErrorCodes.EgressDenied, answer.Headers.GetValues("Caisson-Denied").Single());
        Assert.Single(origin.Requests);
        Assert.Equal(["plain.test.example"], rig.Resolver.Asked);
    }

    [Fact]
    public async Task A_request_that_may_change_something_is_journaled_before_it_is_sent()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);
        var sentBefore = -1;
        rig.Log.OnIntent = _ => sentBefore = origin.Connections;

        using var client = rig.Client();
        await client.PostAsync(new Uri($"http://plain.test.example:{origin.Port}/things?x=1"), new StringContent("body"));

        Assert.Equal(0, sentBefore);
        Assert.Equal(new EgressIntent(EgressKind.Request, "plain.test.example", origin.Port, "POST", "/things"), rig.Log.Intents.Single());
        Assert.Equal("body", origin.Requests.Single().Body);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Nothing_is_sent_for_a_run_that_is_not_surely_ours(bool maySend, bool owned)
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);
        (rig.Log.MaySend, rig.Log.Owned) = (maySend, owned);

        using var client = rig.Client();
        var answer = await client.PostAsync(new Uri($"http://plain.test.example:{origin.Port}/"), new StringContent("body"));

        Assert.Equal(ErrorCodes.EgressStopped, answer.Headers.GetValues("Caisson-Denied").Single());
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task A_body_in_chunks_arrives_whole_and_framed_anew()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        await rig.SayAsync($"POST http://plain.test.example:{origin.Port}/ HTTP/1.1\r\nHost: plain.test.example:{origin.Port}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\n006\r\n world\r\n0\r\n\r\n");

        Assert.Equal("hello world", origin.Requests.Single().Body);
        Assert.Null(origin.Requests.Single().Header("Expect"));
    }

    [Theory]
    [InlineData("5\r\nhelloX\r\n0\r\n\r\n")]
    [InlineData("5;ext=1\r\nhello\r\n0\r\n\r\n")]
    [InlineData("-5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("+5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("0x5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("5 \r\nhello\r\n0\r\n\r\n")]
    [InlineData("fffffffff\r\nhello")]
    [InlineData("5\nhello\n0\n\n")]
    [InlineData("5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n")]
    [InlineData("5\r\nhel")]
    public async Task A_body_that_does_not_follow_its_framing_ends_the_connection(string body)
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        var answer = await rig.SayAsync($"POST http://plain.test.example:{origin.Port}/ HTTP/1.1\r\nHost: plain.test.example:{origin.Port}\r\nTransfer-Encoding: chunked\r\n\r\n{body}" + Get(origin, "/smuggled"));

        Assert.Contains("Caisson-Denied: egress_malformed", answer, StringComparison.Ordinal);
        Assert.DoesNotContain(origin.Requests, r => r.Line.Contains("smuggled", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Content-Length: 60\r\nTransfer-Encoding: chunked")]
    [InlineData("Content-Length: 0\r\nContent-Length: 60")]
    [InlineData("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")]
    [InlineData("Transfer-Encoding:\u000bchunked")]
    public async Task A_request_with_two_lengths_is_refused_with_all_behind_it(string framing)
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        var answer = await rig.SayAsync($"POST http://plain.test.example:{origin.Port}/ HTTP/1.1\r\nHost: plain.test.example:{origin.Port}\r\n{framing}\r\n\r\n0\r\n\r\n" + Get(origin, "/smuggled"));

        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task Whoever_says_half_a_request_and_stops_is_let_go()
    {
        await using var origin = new Origin();
        var clock = new ArmedClock(TimeSpan.FromSeconds(30));
        await using var rig = Rig(origin, clock: clock);

        await using var stream = await rig.DialAsync();
        await stream.WriteAsync("GET http://plain.test.example/ HTTP/1.1\r\nHost: pl"u8.ToArray());
        var answer = EgressRig.ReadAllAsync(stream);
        await clock.Armed;
        clock.Advance(TimeSpan.FromSeconds(31));

        Assert.StartsWith("HTTP/1.1 408 ", await answer, StringComparison.Ordinal);
        Assert.Equal([ErrorCodes.EgressMalformed], rig.Log.Codes);
    }

    [Fact]
    public async Task A_head_without_end_is_cut()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        var answer = await rig.SayAsync("GET http://plain.test.example/ HTTP/1.1\r\nX: " + new string('x', 100_000), endSending: false);

        Assert.StartsWith("HTTP/1.1 431 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task At_the_end_of_the_budget_an_answer_is_cut_and_the_next_request_is_told_why()
    {
        await using var origin = new Origin(respond: _ => ["HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", new string('x', 500_000)]);
        await using var rig = Rig(origin, more: "egress_bytes: 100KiB");

        var first = await rig.SayAsync(Get(origin), endSending: false);
        var second = await rig.SayAsync(Get(origin));

        Assert.InRange(first.Length, 1_000, 130_000);
        Assert.Contains("Caisson-Denied: egress_budget", second, StringComparison.Ordinal);
        Assert.Contains("caisson: the run's 100 KiB of egress are used up", second, StringComparison.Ordinal);
        Assert.Equal([EgressDecision.Allowed, ErrorCodes.EgressBudget, ErrorCodes.EgressBudget], rig.Log.Codes);
        Assert.InRange(rig.Log.Received, 90_000, 200_000);
        Assert.Single(origin.Requests);
    }

    [Fact]
    public async Task What_earlier_boxes_of_the_run_used_counts()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin, more: "egress_bytes: 100KiB", used: 100 << 10);

        var answer = await rig.SayAsync(Get(origin));

        Assert.Contains("Caisson-Denied: egress_budget", answer, StringComparison.Ordinal);
        Assert.Equal(0, origin.Connections);
    }

    [Fact]
    public async Task Headers_that_would_change_the_method_or_the_path_stay_inside()
    {
        await using var origin = new Origin();
        await using var rig = Rig(origin);

        await rig.SayAsync(Get(origin).Replace("Connection: close", "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\nX-Kept: 1\r\nConnection: close", StringComparison.Ordinal));

        var sent = origin.Requests.Single();
        Assert.Equal("1", sent.Header("X-Kept"));
        Assert.Null(sent.Header("X-HTTP-Method-Override"));
        Assert.Null(sent.Header("X-Original-URL"));
    }

    [Fact]
    public async Task No_bytes_bring_a_request_past_the_rules() =>
        await Gen.OneOf(
            Gen.String[Gen.Char["GET POST http://plain.test.example/\r\n:HTTP1.0Hostadmin%?"], 0, 300],
            Gen.Select(
                Words("GET", "POST", "DELETE"), Words("plain.test.example", "other.example", "PLAIN.test.example.", "plain.test.example@x"),
                Words("/open/a", "/admin", "/open/../admin", "/open/%2e%2e/admin", "/open//admin", "/open/a?/admin"), Words("", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n"),
                Words("", "3\r\nabc\r\n0\r\n\r\n", "abc", "GET http://plain.test.example:1/admin HTTP/1.1\r\nHost: plain.test.example:1\r\n\r\n"))
                .Select((method, host, path, header, body) => $"{method} http://{host}:PORT{path} HTTP/1.1\r\nHost: {host}:PORT\r\n{header}\r\n{body}")).Array[1, 3]
            .SampleAsync(async requests =>
            {
                await using var origin = new Origin();
                await using var rig = Rig(origin, $"{{ host: plain.test.example, port: {origin.Port}, mode: http, methods: [GET, POST], paths: [/open/**] }}");

                await rig.SayAsync(string.Concat(requests).Replace("PORT", origin.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal));
                await rig.SettledAsync();

                Assert.All(origin.Requests, r => Assert.Matches("^(GET|POST) /open/a(\\?/admin)? HTTP/1.1$", r.Line));
                Assert.DoesNotContain("other.example", rig.Resolver.Asked);
            }, iter: 150, threads: 1);
}

/// <summary>Tells when somebody begins to wait for so long.</summary>
internal sealed class ArmedClock(TimeSpan due) : FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(57))
{
    private readonly TaskCompletionSource _armed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Armed => _armed.Task.WaitAsync(TimeSpan.FromSeconds(20));

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        if (dueTime == due)
            _armed.TrySetResult();
        return timer;
    }
}
