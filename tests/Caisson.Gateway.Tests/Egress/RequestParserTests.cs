using System.Text;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Http;
using CsCheck;

namespace Caisson.Gateway.Tests.Egress;

public sealed class RequestParserTests
{
    private static Gen<string> Words(params string[] words) => Gen.Int[0, words.Length - 1].Select(i => words[i]);

    private static ParseOutcome Parse(string head) => RequestParser.Parse(Encoding.Latin1.GetBytes(head.ReplaceLineEndings("\r\n") + "\r\n\r\n"));

    private static RequestHead Good(string head) => Assert.IsType<ParseOutcome.Parsed>(Parse(head)).Head;

    [Fact]
    public void A_plain_request_is_read_without_the_headers_of_its_hop()
    {
        var head = Good("GET http://a.example/x?y=1 HTTP/1.1\nHost: a.example\nAccept: */*\nProxy-Connection: keep-alive\nConnection: x-mine\nX-Mine: 1\nTE: trailers\nUpgrade: websocket");

        Assert.Equal(("GET", "http://a.example/x?y=1", true, 0L, false), (head.Method, head.Target, head.Is11, head.Length, head.Close));
        Assert.Equal(["Host", "Accept"], head.Headers.Select(h => h.Name));
    }

    [Theory]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 5, 5")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: +5")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 0x5")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: -1")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 99999999999999999999")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length:")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length : 5")]
    [InlineData("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked")]
    [InlineData("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: xchunked")]
    [InlineData("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked")]
    [InlineData("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked")]
    [InlineData("GET / HTTP/1.1")]
    [InlineData("GET / HTTP/1.1\nHost: a\nHost: a")]
    [InlineData("GET / HTTP/1.1\nHost: a\nX: 1\n folded")]
    [InlineData("GET / HTTP/1.1\nHost: a\n\tfolded: 1")]
    [InlineData("GET / HTTP/1.1\nHost: a\nno colon")]
    [InlineData("GET / HTTP/1.1\nHost: a\n: nothing")]
    [InlineData("GET / HTTP/1.1\nHost: a\nX\u00e4: 1")]
    [InlineData("GET / HTTP/1.1\nHost: a\nX: \u00e4")]
    [InlineData("GET / HTTP/1.1\nHost: a\nX: \u0000")]
    [InlineData("GET  / HTTP/1.1\nHost: a")]
    [InlineData("GET / HTTP/1.1 \nHost: a")]
    [InlineData("GET / x HTTP/1.1\nHost: a")]
    [InlineData("get / HTTP/1.1\nHost: a")]
    [InlineData("GET / HTTP/2\nHost: a")]
    [InlineData("GET / HTTP/1.2\nHost: a")]
    [InlineData("GET /")]
    [InlineData("GET /a#b HTTP/1.1\nHost: a")]
    [InlineData("GET /a\\b HTTP/1.1\nHost: a")]
    [InlineData("\nGET / HTTP/1.1\nHost: a")]
    [InlineData("GET / HTTP/1.1\nHost: a\nConnection: Host")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nConnection: Content-Length")]
    [InlineData("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nExpect: magic")]
    public void What_can_be_read_in_two_ways_is_refused(string head) => Assert.IsType<ParseOutcome.Malformed>(Parse(head));

    [Theory]
    [InlineData("GET / HTTP/1.1\nHost: a\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\n\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n")]
    public void Lines_end_with_both_characters(string raw) => Assert.IsType<ParseOutcome.Malformed>(RequestParser.Parse(Encoding.Latin1.GetBytes(raw)));

    [Fact]
    public void Heads_are_bounded()
    {
        Assert.IsType<ParseOutcome.Malformed>(Parse("GET / HTTP/1.1\nHost: a" + string.Concat(Enumerable.Repeat("\nX: 1", Grammar.MaxHeaders))));
        Assert.IsType<ParseOutcome.Malformed>(Parse("GET /" + new string('a', Grammar.MaxTarget) + " HTTP/1.1\nHost: a"));
        Assert.IsType<ParseOutcome.Malformed>(Parse("GET / HTTP/1.1\nHost: a\nX: " + new string('a', Grammar.MaxHead)));
    }

    [Theory]
    [InlineData("http://a.example/x", "a.example", "a.example", 80, "/x")]
    [InlineData("HTTP://A.Example.:8080?q", "a.EXAMPLE:8080", "a.example", 8080, "/?q")]
    [InlineData("http://a.example", "a.example:80", "a.example", 80, "/")]
    [InlineData("http://[2606:4700::1]:81/", "[2606:4700:0::1]:81", "2606:4700::1", 81, "/")]
    [InlineData("http://2130706433/", "127.0.0.1", "127.0.0.1", 80, "/")]
    public void The_target_is_one_host(string target, string host, string name, int port, string path)
    {
        var (to, _) = RequestTarget.OfProxy(Good($"GET {target} HTTP/1.1\nHost: {host}"));

        Assert.Equal((name, port, path), (to!.Host.Name, to.Port, to.PathAndQuery));
    }

    [Theory]
    [InlineData("http://a.example/", "b.example")]
    [InlineData("http://a.example/", "a.example:81")]
    [InlineData("http://a.example/", "a.example, b.example")]
    [InlineData("http://a.example/", "a.example b.example")]
    [InlineData("http://a@b.example/", "b.example")]
    [InlineData("http://a.example:0/", "a.example:0")]
    [InlineData("http://a.example:99999/", "a.example:99999")]
    [InlineData("http://a.example:8o/", "a.example")]
    [InlineData("http:///x", "")]
    [InlineData("http://[fe80::1%25lo]/", "[fe80::1%25lo]")]
    [InlineData("https://a.example/", "a.example")]
    [InlineData("ftp://a.example/", "a.example")]
    [InlineData("/x", "a.example")]
    [InlineData("*", "a.example")]
    public void Other_targets_are_refused(string target, string host)
    {
        if (Parse($"GET {target} HTTP/1.1\nHost: {host}") is ParseOutcome.Parsed parsed)
            Assert.Null(RequestTarget.OfProxy(parsed.Head).Target);
    }

    [Fact]
    public void Any_bytes_get_an_answer() =>
        Gen.OneOf(
            Gen.Byte.Array[0, 200],
            Gen.String[Gen.Char["GETPOS /:.\r\n\tHTtp1x0%[]@#,;=-"], 0, 200].Select(t => Encoding.Latin1.GetBytes(t)),
            Gen.Select(Words("GET", "POST", "CONNECT"), Words("http://a.example/", "/", "*", "a:443", "http://[::1]"), Gen.String[Gen.Char["Host: a\r\nContentLegh5Transfckdi"], 0, 100])
                .Select((method, target, rest) => Encoding.Latin1.GetBytes($"{method} {target} HTTP/1.1\r\n{rest}\r\n\r\n")))
            .Sample(bytes =>
            {
                // What is accepted means one thing: one host at most, one length at most, no line within a line.
                if (RequestParser.Parse(bytes) is not ParseOutcome.Parsed { Head: var head })
                    return;
                Assert.All(head.Headers, h => Assert.DoesNotContain('\n', h.Value));
                Assert.DoesNotContain(head.Headers, h => h.Is("Transfer-Encoding") || h.Is("Connection"));
                Assert.True(head.Headers.Count(h => h.Is("Content-Length")) <= 1);
                _ = RequestTarget.OfProxy(head);
                _ = RequestTarget.OfConnection(head, HostName.TryParse("a.example")!, 443);
            }, iter: 20_000);
}
