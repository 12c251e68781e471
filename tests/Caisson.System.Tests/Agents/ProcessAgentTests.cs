using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>
/// A program that knows nothing of this runtime, in a real box: killed with SIGKILL, alone or with the server, it comes to
/// its end, and the provider's own log shows that nothing was paid twice.
/// </summary>
public sealed class ProcessAgentTests
{
    private const string Script = """
        scripts:
          - model: worker
            turns:
              - say: One.
                call: { name: shell, arguments: { command: "echo a >> log; wc -l < log" } }
              - say: Two.
                call: { name: shell, arguments: { command: "sleep 2; echo b >> log; wc -l < log" } }
              - { say: "All done.", delay: 2s }
        """;

    // Plain Python: reads its task, calls the model until it is through, runs what it is told on its own files.
    private const string Program = """
        import json, os, subprocess, sys, urllib.request
        messages = [{"role": "user", "content": sys.stdin.read()}]
        while True:
            body = json.dumps({"model": "worker", "messages": messages}).encode()
            request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
            try:
                answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]
            except urllib.error.HTTPError as problem:
                print(problem.code, problem.headers["x-should-retry"], problem.read().decode(), file=sys.stderr)
                sys.exit(3)
            messages.append(answer)
            if not answer.get("tool_calls"):
                break
            for call in answer["tool_calls"]:
                text = subprocess.run(["sh", "-c", json.loads(call["function"]["arguments"])["command"]], capture_output=True, text=True).stdout
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
        print(answer["content"], open("log").read().split())
        """;

    private const string Result = "All done. ['a', 'b']";

    private static string Manifest(string more = "") =>
        $"name: worker\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(Program)}] }}\nsandbox: {{ memory: 256MiB, disk: 32MiB }}\n{more}";

    [Fact]
    public async Task Exec_brings_the_folder_and_passes_on_output_and_exit_code()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        using var folder = new Folder();
        folder.Write("agent.py", Program);

        var done = await server.RunAsync("exec", "--dir", folder.Path, "--input", "go", "--", "python3", "agent.py");
        Assert.Equal((0, Result + "\n"), (done.Exit, done.Out));

        var failed = await server.RunAsync("exec", "--dir", folder.Path, "--", "sh", "-c", "ls; echo no >&2; exit 7");
        Assert.Equal((7, "agent.py\n"), (failed.Exit, failed.Out));
        Assert.Contains("no\n", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Killed_alone_in_the_middle_of_a_call_it_begins_again_and_nothing_is_paid_twice()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Manifest());
        await ModelCallsAsync(server, id, 2);
        await Until.AsyncValue("the third call is with the provider", () => Task.FromResult(server.AskedCalls(id).Count), asked => asked == 3);
        await server.KillProgramAsync(id, "pkill", "-KILL", "python3");

        var run = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Completed, Result, 1), (run.Status, run.Result, run.Epoch));
        Assert.Equal(3, server.AnsweredCalls(id).Count);
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task When_the_server_is_killed_between_two_calls_it_begins_again_and_nothing_is_paid_twice()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Manifest());
        await ModelCallsAsync(server, id, 2);

        await server.KillAsync();
        Assert.Equal(2, server.AskedCalls(id).Count);
        await server.LaunchAsync();

        var run = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Completed, Result, 2), (run.Status, run.Result, run.Epoch));
        Assert.Equal(3, server.AnsweredCalls(id).Count);
        Assert.Equal("0.00", run.InDoubtUsd);
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task When_the_server_is_killed_in_the_middle_of_a_call_that_call_alone_is_paid_again_and_is_in_doubt()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Manifest());
        await Until.AsyncValue("the third call is with the provider", () => Task.FromResult(server.AskedCalls(id).Count), asked => asked == 3);

        await server.KillAsync();
        await server.LaunchAsync();

        var run = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Completed, Result), (run.Status, run.Result));
        Assert.Equal(4, server.AskedCalls(id).Count);
        Assert.NotEqual("0.00", run.InDoubtUsd);
        await server.AssertSoundAsync();
    }

    /// <summary>Clients give up waiting and ask again: in the middle of a call, and where its answer came meanwhile.</summary>
    [Fact]
    public async Task A_client_that_goes_and_asks_again_gets_the_call_that_is_under_way_or_its_record()
    {
        const string impatient = """
            import json, os, socket, time, urllib.request
            base = os.environ["OPENAI_BASE_URL"]
            print(sorted(m["id"] for m in json.load(urllib.request.urlopen(base + "/models"))["data"]))
            def ask(text, patience):
                body = json.dumps({"model": "late", "messages": [{"role": "user", "content": text}]}).encode()
                try:
                    return json.load(urllib.request.urlopen(urllib.request.Request(base + "/chat/completions", body, {"content-type": "application/json"}), timeout=patience))["choices"][0]["message"]["content"]
                except (TimeoutError, socket.timeout):
                    return None
            print(ask("under way", 0.5), ask("under way", 30))
            print(ask("over", 0.5))
            time.sleep(3)
            print(ask("over", 30), ask("over", 30))
            try:
                urllib.request.urlopen(urllib.request.Request(base + "/fine_tuning/jobs", b"{}"))
            except urllib.error.HTTPError as problem:
                print(problem.code, "not_implemented" in problem.read().decode())
            """;
        await using var server = await ServerProcess.StartAsync(script: "scripts:\n  - model: late\n    turns: [{ say: \"at last\", delay: 2s }]\n");

        var run = await server.EndedAsync(await server.CreateAsync($"name: impatient\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(impatient)}] }}\nsandbox: {{ memory: 256MiB, disk: 32MiB }}\n"));

        Assert.Equal("['late']\nNone at last\nNone\nat last at last\n501 True", run.Result);

        // The last one is another call: its record had answered already.
        Assert.Equal(3, server.AskedCalls(run.Id).Count);
    }

    [Fact]
    public async Task At_a_limit_it_waits_unanswered_until_somebody_gives_more_or_is_told_once()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);

        var paused = await server.EndedAsync(await server.CreateAsync(Manifest("limits: { model_calls: 2 }\n")));
        Assert.Equal((RunStatus.Paused, PauseCause.Budget), (paused.Status, paused.Paused));
        Assert.Equal(0, (await server.RunAsync("resume", paused.Id, "--max-model-calls", "3")).Exit);
        await Until.AsyncValue("it goes on", () => server.Client.GetRunAsync(paused.Id, CancellationToken.None), r => r.Status != RunStatus.Paused);
        var run = await server.EndedAsync(paused.Id);
        Assert.Equal((RunStatus.Completed, Result), (run.Status, run.Result));
        Assert.Equal(3, server.AnsweredCalls(run.Id).Count);

        var told = await server.EndedAsync(await server.CreateAsync(Manifest("limits: { model_calls: 2, on_limit: stop }\n")));
        Assert.Equal(RunStatus.Failed, told.Status);
        Assert.Contains("402 false", told.Detail, StringComparison.Ordinal);
        Assert.Contains("insufficient_quota", told.Detail, StringComparison.Ordinal);
        Assert.Equal(2, server.AskedCalls(told.Id).Count);
    }

    private static Task<RunView> ModelCallsAsync(ServerProcess server, string id, int count) =>
        Until.AsyncValue($"{count} calls are recorded", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps >= count);
}
