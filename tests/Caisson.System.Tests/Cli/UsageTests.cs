using System.Text.Json;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Cli;

public sealed class UsageTests
{
    [Theory]
    [InlineData("bogus", 2, "'bogus'")]
    [InlineData("ps --status sleeping", 2, "ready, running")]
    [InlineData("ps -o xml", 2, "xml")]
    [InlineData("ps --server ::bad", 2, "HOST:PORT")]
    [InlineData("wait abc --timeout 5q", 2, "500ms")]
    [InlineData("run", 2, "AGENT.yaml")]
    [InlineData("run there-is-no-such.yaml", 2, "there-is-no-such.yaml")]
    [InlineData("get abcd --file ../etc/passwd", 2, "below the workspace")]
    [InlineData("ps --server 127.0.0.1:1", 7, "caisson serve")]
    [InlineData("mock-model there-is-no-such.yaml", 2, "there-is-no-such.yaml")]
    public async Task A_wrong_call_ends_with_one_line_and_its_exit_code(string arguments, int exit, string says)
    {
        var answer = await CaissonProgram.RunAsync(arguments.Split(' '));

        Assert.Equal(exit, answer.Exit);
        Assert.Contains(says, answer.ErrorLine, StringComparison.Ordinal);
        Assert.Empty(answer.Out);
    }

    [Fact]
    public async Task As_json_an_error_is_a_problem_on_stdout()
    {
        var answer = await CaissonProgram.RunAsync(["ps", "--server", "127.0.0.1:1", "-o", "json"]);

        Assert.Equal(7, answer.Exit);
        using var problem = JsonDocument.Parse(answer.Out);
        Assert.Equal("server_unreachable", problem.RootElement.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Version_and_help_need_no_server()
    {
        var version = await CaissonProgram.RunAsync(["version", "-o", "json"]);
        var help = await CaissonProgram.RunAsync(["--help"]);

        Assert.Equal(0, version.Exit);
        using var json = JsonDocument.Parse(version.Out);
        Assert.Equal(1, json.RootElement.GetProperty("schema").GetInt32());
        Assert.Equal(0, help.Exit);
        Assert.Contains("mock-model", help.Out, StringComparison.Ordinal);
    }
}
