using System.Text;
using System.Text.Json;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Journal;
using Caisson.Core.Operations;

namespace Caisson.Core.Tests.Operations;

public sealed class ResultShapeTests
{
    private const string Call = """{"id":"c","name":"shell","arguments":"{}"}""";

    [Theory]
    [InlineData(StepKind.Named, "null")]
    [InlineData(StepKind.Named, "17")]
    [InlineData(StepKind.Named, """{"any":["thing",{"at":1e400}]}""")]
    [InlineData(StepKind.Tool, """{"text":"exit code 0"}""")]
    [InlineData(StepKind.Model, """{"text":"hi","calls":[],"finish_reason":"stop","model":"m"}""")]
    [InlineData(StepKind.Model, """{"text":"","calls":[""" + Call + """],"finish_reason":"tool_calls","model":"m","response_id":"r"}""")]
    public void What_a_step_of_its_kind_may_answer_is_taken(StepKind kind, string json)
    {
        Assert.Null(ResultShape.Problem(kind, JsonDocument.Parse(json).RootElement));
    }

    [Theory]
    [InlineData(StepKind.Tool, "null", "text")]
    [InlineData(StepKind.Tool, "\"done\"", "text")]
    [InlineData(StepKind.Tool, """{"text":1}""", "text")]
    [InlineData(StepKind.Tool, """{"text":"x","root":"y"}""", "root: unknown key")]
    [InlineData(StepKind.Tool, """{"text":"x","text":"y"}""", "given twice")]
    [InlineData(StepKind.Model, """{"text":"hi"}""", "finish_reason")]
    [InlineData(StepKind.Model, """{"text":"hi","calls":[{"id":"c"}],"finish_reason":"stop","model":"m"}""", "arguments")]
    [InlineData(StepKind.Model, """{"text":"hi","calls":{},"finish_reason":"stop","model":"m"}""", "calls")]
    [InlineData(StepKind.Model, """{"text":"hi","calls":[],"finish_reason":"stop","model":"m","response_id":7}""", "response_id")]
    [InlineData(StepKind.Named, "{\"a\":[\"\\ud800\"]}", "Unicode")]
    [InlineData(StepKind.Named, "{\"\\ud800\":1}", "Unicode")]
    public void All_else_is_refused_and_the_problem_named(StepKind kind, string json, string says)
    {
        Assert.Contains(says, ResultShape.Problem(kind, JsonDocument.Parse(json).RootElement)!, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_deeper_than_an_agent_s_reader_goes_is_refused()
    {
        var deep = new StringBuilder().Append('[', 80).Append(']', 80).ToString();

        Assert.Contains("nested", ResultShape.Problem(StepKind.Named, JsonDocument.Parse(deep, new JsonDocumentOptions { MaxDepth = 100 }).RootElement)!, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tool_s_own_result_has_the_shape_and_no_result_is_none_of_a_tool()
    {
        Assert.Null(ResultShape.Problem(StepKind.Tool, JsonDocument.Parse(new ToolResult("é\n").Write()).RootElement));
        Assert.NotNull(ResultShape.Problem(StepKind.Tool, null));
        Assert.Null(ResultShape.Problem(StepKind.Named, null));
    }
}
