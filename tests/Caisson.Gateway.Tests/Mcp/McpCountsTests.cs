using System.Text.Json;
using Caisson.Gateway.Mcp;

namespace Caisson.Gateway.Tests.Mcp;

public sealed class McpCountsTests
{
    [Fact]
    public void Equal_calls_are_counted_by_themselves()
    {
        var counts = new McpCounts();

        Assert.Equal([0, 1, 0, 2], [counts.Take("a"), counts.Take("a"), counts.Take("b"), counts.Take("a")]);
    }

    [Fact]
    public void What_nobody_got_is_given_to_the_next_who_asks_the_earliest_first()
    {
        var counts = new McpCounts();
        for (var i = 0; i < 3; i++)
            counts.Take("a");

        counts.GiveBack("a", 1);
        counts.GiveBack("a", 0);

        Assert.Equal([0, 0, 1, 3], [counts.Take("b"), counts.Take("a"), counts.Take("a"), counts.Take("a")]);
    }

    [Theory]
    [InlineData("s", "t", """{"a":1,"b":[true,null]}""", """{ "b": [true, null], "a": 1 }""", true)]
    [InlineData("s", "t", """{"a":"é"}""", """{"a":"\u00e9"}""", true)]
    [InlineData("s", "t", """{"a":1}""", """{"a":"1"}""", false)]
    [InlineData("s", "t", """{"a":[1,2]}""", """{"a":[2,1]}""", false)]
    [InlineData("s", "t", """{"a":null}""", "{}", false)]
    public void A_call_is_known_by_the_meaning_of_its_arguments(string server, string tool, string one, string other, bool same)
    {
        using var first = JsonDocument.Parse(one);
        using var second = JsonDocument.Parse(other);
        var identity = McpServer.IdentityOf(server, tool, first.RootElement);

        Assert.Equal(same, identity == McpServer.IdentityOf(server, tool, second.RootElement));
        Assert.NotEqual(identity, McpServer.IdentityOf(server, "other", first.RootElement));
        Assert.NotEqual(identity, McpServer.IdentityOf("other", tool, first.RootElement));
    }
}
