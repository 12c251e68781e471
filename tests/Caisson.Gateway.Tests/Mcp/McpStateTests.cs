using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Gateway.Mcp;

namespace Caisson.Gateway.Tests.Mcp;

public sealed class McpStateTests
{
    private static readonly McpServerSettings Server = new("s", ["x"])
    {
        Tools = new Dictionary<string, McpToolSettings> { ["look"] = new() { Effect = McpEffect.Read }, ["again"] = new() { Effect = McpEffect.Idempotent } },
    };

    /// <summary>Calls as <c>tool</c> or <c>tool!code</c>, in the journal's order.</summary>
    [Theory]
    [InlineData("", false)]
    [InlineData("s/look", false)]
    [InlineData("s/write", true)]
    [InlineData("s/again", true)]
    [InlineData("other/write", false)]
    [InlineData("ss/write", false)]
    [InlineData("s/write s/look", true)]
    [InlineData("s/write s/look!mcp_lost", false)]
    [InlineData("s/write s/write!mcp_lost s/look", false)]
    [InlineData("s/write s/write!mcp_lost s/write", true)]
    [InlineData("s/write!step_unknown", true)]
    [InlineData("s/write!step_timeout", true)]
    [InlineData("s/write!approval_denied", false)]
    [InlineData("s/write!mcp_unavailable", false)]
    [InlineData("s/write s/write!mcp_drift", true)]
    public void A_state_is_held_from_a_call_that_may_have_made_one_until_somebody_is_told_of_its_loss(string calls, bool held)
    {
        var records = calls.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Record).ToList();

        Assert.Equal(held, McpState.IsHeld(Server, records));
        Assert.False(McpState.IsHeld(Server with { Stateless = true }, records));
    }

    [Fact]
    public void Only_tool_calls_count()
    {
        var listed = new StepRecord(1, new StepKey("k"), new StepSubject(StepKind.Named, "s/write", "", null, null), default, null, null);

        Assert.False(McpState.IsHeld(Server, [listed]));
    }

    private static StepRecord Record(string call)
    {
        var parts = call.Split('!');
        return new StepRecord(1, new StepKey(call), new StepSubject(StepKind.Tool, parts[0], "", null, null), default, parts.Length == 1 ? null : new Failure(parts[1], "said so"), null);
    }
}
