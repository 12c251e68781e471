using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress;
using CsCheck;

namespace Caisson.Gateway.Tests.Egress;

public sealed class EgressPolicyTests
{
    private static readonly EgressPolicy Policy = new(
    [
        new EgressRule("api.test.example", 443, EgressMode.Https) { Methods = ["GET", "POST"], Paths = ["/repos/*/issues", "/public/**"] },
        new EgressRule("api.test.example", 443, EgressMode.Https) { Secret = "token" },
        new EgressRule("*.cdn.test.example", 443, EgressMode.Tunnel),
        new EgressRule("plain.test.example", 80, EgressMode.Http),
    ]);

    private static bool Allows(bool secure, string host, int port, string method, string path) =>
        Policy.Request(secure, HostName.TryParse(host)!, port, method, PathPattern.Canonical(path)) is Verdict.Allowed;

    [Theory]
    [InlineData("api.test.example", "POST", "/repos/x/issues", true)]
    [InlineData("API.test.EXAMPLE.", "POST", "/repos/x/issues", true)]
    [InlineData("api.test.example", "POST", "/repos/x/y/issues", false)]
    [InlineData("api.test.example", "POST", "/repos//issues", false)]
    [InlineData("api.test.example", "POST", "/public/a/b", true)]
    [InlineData("api.test.example", "POST", "/public/../admin", false)]
    [InlineData("api.test.example", "POST", "/public/%2e%2e/admin", false)]
    [InlineData("api.test.example", "POST", "/public/..%2fadmin", false)]
    [InlineData("api.test.example", "POST", "/public/..;/admin", false)]
    [InlineData("api.test.example", "POST", "/public/%5c..%5cadmin", false)]
    [InlineData("api.test.example", "POST", "/PUBLIC/a", false)]
    [InlineData("api.test.example", "POST", "/%70ublic/a", true)]
    [InlineData("api.test.example", "GET", "/admin", true)]
    [InlineData("api.test.example", "DELETE", "/public/a", false)]
    [InlineData("a.cdn.test.example", "DELETE", "/", true)]
    [InlineData("cdn.test.example", "GET", "/", false)]
    [InlineData("xcdn.test.example", "GET", "/", false)]
    [InlineData("api.test.example.evil.example", "GET", "/", false)]
    [InlineData("plain.test.example", "GET", "/", false)]
    public void Rules_decide_by_host_method_and_path(string host, string method, string path, bool allowed) =>
        Assert.Equal(allowed, Allows(secure: true, host, 443, method, path));

    [Fact]
    public void Plain_and_secure_ways_are_not_the_same()
    {
        Assert.True(Allows(secure: false, "plain.test.example", 80, "POST", "/x"));
        Assert.False(Allows(secure: false, "api.test.example", 443, "GET", "/"));
        Assert.IsType<ConnectVerdict.Denied>(Policy.Connect(HostName.TryParse("plain.test.example")!, 80));
    }

    [Fact]
    public void A_connection_is_opened_up_where_some_rule_looks_into_it()
    {
        Assert.IsType<ConnectVerdict.Inspect>(Policy.Connect(HostName.TryParse("api.test.example")!, 443));
        Assert.IsType<ConnectVerdict.Tunnel>(Policy.Connect(HostName.TryParse("x.cdn.test.example")!, 443));
        Assert.IsType<ConnectVerdict.Denied>(Policy.Connect(HostName.TryParse("api.test.example")!, 8443));
        Assert.IsType<ConnectVerdict.Denied>(Policy.Connect(HostName.TryParse("other.example")!, 443));
    }

    [Fact]
    public void A_denial_says_in_one_line_what_why_and_what_to_do()
    {
        var denied = Assert.IsType<Verdict.Denied>(Policy.Request(true, HostName.TryParse("api.test.example")!, 443, "DELETE", "/x"));

        Assert.Equal("caisson: DELETE api.test.example:443/x is denied: only GET, HEAD, POST may be sent there; do without it, or ask for a rule under 'egress' in the agent's manifest", denied.Reason);
    }

    [Fact]
    public void A_wildcard_never_fits_an_address() =>
        Assert.IsType<ConnectVerdict.Denied>(new EgressPolicy([new EgressRule("*.0.1", 443, EgressMode.Tunnel)]).Connect(HostName.TryParse("10.0.0.1")!, 443));

    [Fact]
    public void No_path_takes_long_and_a_pattern_of_two_stars_fits_all_below_it() =>
        Gen.Select(Gen.String[Gen.Char["ab/*.%2"], 0, 60], Gen.String[Gen.Char["ab/.%2e;"], 0, 200]).Sample((pattern, path) =>
        {
            if (PathPattern.Canonical("/" + path) is not { } canonical)
                return;
            Assert.True(PathPattern.Matches("/**", canonical));
            Assert.True(PathPattern.Matches(canonical, canonical) || canonical.Contains('*', StringComparison.Ordinal));
            Assert.DoesNotContain("/../", canonical, StringComparison.Ordinal);
            _ = PathPattern.Matches("/" + pattern, canonical);
        }, iter: 20_000);
}
