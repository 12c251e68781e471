using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Cli;

[Collection(nameof(SharedServer))]
public sealed class RunTests(SharedServer shared)
{
    private readonly ServerProcess _server = shared.Server;

    [Fact]
    public async Task A_run_is_waited_for_and_its_result_is_the_data()
    {
        var answer = await _server.RunAsync("run", "agent.yaml", "-i", "hello", "--wait");

        Assert.Equal("You said: hello\n", answer.Out);
        Assert.Contains("completed", answer.Error, StringComparison.Ordinal);
        Assert.Equal(0, answer.Exit);
    }

    [Fact]
    public async Task Input_comes_from_a_file_and_from_stdin()
    {
        _server.Folder.Write("input.txt", "from a file");

        var file = await _server.RunAsync("run", "agent.yaml", "-i", "@input.txt", "--wait", "-q");
        var stdin = await CaissonProgram.RunAsync(["run", "agent.yaml", "-i", "-", "--wait", "-q", "--server", _server.Address.ToString()], "from stdin", _server.Folder.Path);

        Assert.Equal(("You said: from a file\n", ""), (file.Out, file.Error));
        Assert.Equal(("You said: from stdin\n", ""), (stdin.Out, stdin.Error));
    }

    [Fact]
    public async Task Streamed_as_json_lines_the_entries_are_the_data()
    {
        var answer = await _server.RunAsync("run", "agent.yaml", "-i", "x", "--stream", "-o", "jsonl");

        var kinds = answer.Out.TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement.GetProperty("kind").GetString()).ToList();
        Assert.Equal(0, answer.Exit);
        Assert.Equal("run_created", kinds[0]);
        Assert.Contains("step_completed", kinds);
        Assert.Equal("run_ended", kinds[^1]);
    }

    [Fact]
    public async Task A_manifest_with_a_mistake_is_refused_with_its_line_and_leaves_nothing()
    {
        var file = _server.Folder.Write("bad.yaml", "name: bad-one\nloop:\n  model: mock/quick\n  instructions: x\n  modle: y\n");

        var answer = await _server.RunAsync("run", file);

        Assert.Equal(3, answer.Exit);
        Assert.Contains("bad.yaml:5", answer.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("modle", answer.ErrorLine, StringComparison.Ordinal);
        Assert.DoesNotContain("bad-one", (await _server.RunAsync("ps", "--all")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_input_over_the_cap_is_refused_before_it_is_sent()
    {
        var file = _server.Folder.Write("large.txt", new string('x', (1 << 20) + 1));

        var answer = await _server.RunAsync("run", "agent.yaml", "-i", "@" + file);

        Assert.Equal(2, answer.Exit);
        Assert.Contains("1048576", answer.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_provider_that_refuses_fails_the_run()
    {
        var file = _server.Folder.Write("broken.yaml", ServerProcess.ManifestOf("broken"));

        var answer = await _server.RunAsync("run", file, "--wait");

        Assert.Equal(1, answer.Exit);
        Assert.Contains("failed", answer.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task At_its_budget_a_run_pauses_and_a_raise_lets_it_complete()
    {
        var file = _server.Folder.Write("costly.yaml", ServerProcess.ManifestOf("costly"));

        var paused = await _server.RunAsync("run", file, "--wait", "--budget-usd", "0.000001", "-o", "jsonl");
        var id = JsonDocument.Parse(paused.Out).RootElement.GetProperty("id").GetString()!;
        var refused = await _server.RunAsync("resume", id);
        var raised = await _server.RunAsync("resume", id, "--budget-usd", "1.50", "--wait");

        Assert.Equal(10, paused.Exit);
        Assert.Contains("--budget-usd", paused.Error, StringComparison.Ordinal);
        Assert.Equal(10, refused.Exit);
        Assert.Equal((0, "expensive\n"), (raised.Exit, raised.Out));
    }

    [Fact]
    public async Task Who_waits_learns_of_a_cancel()
    {
        var id = await _server.CreateAsync(ServerProcess.ManifestOf("never"));
        var waiting = _server.RunAsync("wait", id);

        var cancel = await _server.RunAsync("cancel", id, "--reason", "enough");

        Assert.Equal(0, cancel.Exit);
        Assert.Contains("cancelled", cancel.Out, StringComparison.Ordinal);
        Assert.Equal(13, (await waiting).Exit);
        Assert.Equal(6, (await _server.RunAsync("cancel", id)).Exit);
    }

    [Fact]
    public async Task A_wait_that_takes_too_long_leaves_the_run_alone()
    {
        var id = await _server.CreateAsync(ServerProcess.ManifestOf("never"));

        var answer = await _server.RunAsync("wait", id, "--timeout", "200ms");

        Assert.Equal(8, answer.Exit);
        Assert.Equal("running", JsonDocument.Parse((await _server.RunAsync("get", id, "-o", "json")).Out).RootElement.GetProperty("status").GetString());
        await _server.Client.CancelAsync(id, null, CancellationToken.None);
    }

    [Fact]
    public async Task Ctrl_C_ends_the_command_and_not_the_run()
    {
        var id = await _server.CreateAsync(ServerProcess.ManifestOf("never"));
        using var logs = CaissonProgram.Start(["logs", id, "-f", "--server", _server.Address.ToString()], _server.Folder.Path);
        await logs.StandardOutput.ReadLineAsync();

        Processes.Signal(logs.Id, "INT");

        await logs.WaitForExitAsync().WaitAsync(CaissonProgram.Patience, TimeProvider.System);
        Assert.Equal(130, logs.ExitCode);
        Assert.Contains(id, await logs.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
        Assert.Equal(RunStatus.Running, (await _server.Client.GetRunAsync(id, CancellationToken.None)).Status);
        await _server.Client.CancelAsync(id, null, CancellationToken.None);
    }

    [Fact]
    public async Task What_the_model_says_cannot_steer_the_terminal()
    {
        var file = _server.Folder.Write("evil.yaml", ServerProcess.ManifestOf("evil"));
        var run = await _server.RunAsync("run", file, "--wait", "-o", "jsonl");
        var id = JsonDocument.Parse(run.Out).RootElement.GetProperty("id").GetString()!;

        var get = await _server.RunAsync("get", id);

        Assert.DoesNotContain('\e', run.Out + get.Out);
        Assert.Contains(@"  red \x1b[31m text", get.Out, StringComparison.Ordinal);
        Assert.Contains("\n  second line", get.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_trace_shows_retries()
    {
        var file = _server.Folder.Write("shaky.yaml", ServerProcess.ManifestOf("shaky"));
        var run = await _server.RunAsync("run", file, "--wait", "-o", "jsonl");
        var id = JsonDocument.Parse(run.Out).RootElement.GetProperty("id").GetString()!;

        var trace = await _server.RunAsync("trace", id);

        Assert.Equal(0, run.Exit);
        Assert.Contains("attempt 2 failed", trace.Out, StringComparison.Ordinal);
        Assert.Contains("completed", trace.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reader_that_has_had_enough_ends_the_command_quietly()
    {
        var id = await _server.CreateAsync(ServerProcess.ManifestOf("never"));
        using var logs = CaissonProgram.Start(["logs", id, "-f", "--server", _server.Address.ToString()], _server.Folder.Path);
        await logs.StandardOutput.ReadLineAsync();

        logs.StandardOutput.Close();
        await _server.Client.CancelAsync(id, null, CancellationToken.None);

        await logs.WaitForExitAsync().WaitAsync(CaissonProgram.Patience, TimeProvider.System);
        Assert.Equal("", await logs.StandardError.ReadToEndAsync());
    }
}
