using System.Text;
using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>
/// Durable steps from inside a real box: programs in Python and JavaScript, with the clients that are shipped, killed with
/// SIGKILL, alone and with the server. What happened is told by the journal and by the model provider's own log.
/// </summary>
public sealed class ProgramStepTests
{
    private const string Script = """
        scripts:
          - model: late
            turns: [{ say: "late", delay: 3s }]
        """;

    /// <summary>A call to the model in the body of a step, so that somebody outside counts how often the body ran.</summary>
    private const string Python = """
        import json, os, sys, time, urllib.request
        from caisson import *

        def outside(what):
            body = json.dumps({"model": "late", "messages": [{"role": "user", "content": what}]}).encode()
            return json.load(urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"})))["choices"][0]["message"]["content"]
        """;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_step_that_was_completed_is_never_executed_again(bool withServer)
    {
        const string program = """
            first = step("roll", lambda attempt: [os.urandom(8).hex(), attempt["attempt"]], {"b": 1, "a": [2.0]})
            again = step("roll", lambda attempt: os.urandom(8).hex(), {"a": [2.0], "b": 1})
            other = step("roll", lambda attempt: os.urandom(8).hex())
            print(first, again, other, outside("wait"))
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        await Until.AsyncValue("three steps are recorded and the program waits for the model", () => Task.FromResult(server.AskedCalls(id).Count), asked => asked == 1);
        var before = await StepsAsync(server, id);
        Assert.Equal(["roll", "roll", "roll"], before.Select(s => s.Name));

        await KillAsync(server, id, withServer);
        var run = await server.EndedAsync(id);

        Assert.Equal(RunStatus.Completed, run.Status);
        var after = await StepsAsync(server, id);
        Assert.Equal(before.Select(s => s.Result), after.Take(3).Select(s => s.Result));
        Assert.Equal(3, after.Count(s => s.Name == "roll"));
        Assert.Equal($"['{First(before[0].Result)}', 1] {Text(before[1].Result)} {Text(before[2].Result)} late", run.Result);
        await server.AssertSoundAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Killed_in_the_middle_of_a_step_it_repeats_what_may_be_repeated_with_the_same_key(bool withServer)
    {
        const string program = """
            def body(attempt):
                outside("begun")
                if os.environ["CAISSON_ATTEMPT"] == "1" and os.environ["CAISSON_RUN_EPOCH"] == "1":
                    signal("never")
                return [attempt["idempotency_key"], attempt["attempt"]]
            print(json.dumps(step("charge", body)))
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        await Until.AsyncValue("the step is in its middle", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps == 1);

        await KillAsync(server, id, withServer);
        var run = await server.EndedAsync(id);

        Assert.True(run.Status == RunStatus.Completed, run.Detail);
        var charge = Assert.Single(await StepsAsync(server, id), s => s.Name == "charge");
        Assert.Equal($"[\"{id}.{charge.Key}\", {(withServer ? 1 : 2)}]", run.Result);
        Assert.Single(server.AskedCalls(id));
        await server.AssertSoundAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Killed_in_the_middle_of_a_step_that_must_not_be_repeated_it_is_told_that_nobody_knows(bool withServer)
    {
        const string program = """
            def body(attempt):
                outside("begun")
                signal("never")
            try:
                step("charge", body, effect="at_most_once")
            except StepFailed as failed:
                print(failed.code)
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        await Until.AsyncValue("the step is in its middle", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps == 1);

        await KillAsync(server, id, withServer);
        var run = await server.EndedAsync(id);

        Assert.Equal((RunStatus.Completed, "step_unknown"), (run.Status, run.Result));
        Assert.Equal(["step_started", "step_unknown", "step_resolved"], (await JournalAsync(server, id)).Where(e => e.Body.TryGetProperty("step", out var step) && step.GetProperty("name").GetString() == "charge").Select(e => e.Kind));
        Assert.Single(server.AskedCalls(id));
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task What_nobody_knows_may_wait_for_a_person_whose_word_is_the_result()
    {
        const string program = """
            def body(attempt):
                outside("begun")
                signal("never")
            print(step("charge", body, effect="at_most_once", on_unknown="ask_human"))
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        await Until.AsyncValue("the step is in its middle", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps == 1);

        await KillAsync(server, id, withServer: false);
        var paused = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Paused, PauseCause.Unknown), (paused.Status, paused.Paused));
        var key = (await JournalAsync(server, id)).Single(e => e.Kind == "step_unknown").Key!;
        var resolved = await server.RunAsync("resolve", id, key[..12], "--done", "--result", "\"paid\"");
        Assert.True(resolved.Exit == 0, resolved.Error);
        await Until.AsyncValue("it goes on", () => server.Client.GetRunAsync(id, CancellationToken.None), r => r.Status != RunStatus.Paused);

        var run = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Completed, "paid"), (run.Status, run.Result));
    }

    [Fact]
    public async Task A_sleep_goes_on_over_the_death_of_the_server_and_does_not_begin_anew()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of("sleep(12)\nprint('awake')"));
        var asleep = await Until.AsyncValue("it sleeps", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Status == RunStatus.Waiting);
        Assert.Equal(WaitReason.Timer, asleep.Waiting);

        await server.KillAsync();
        await server.LaunchAsync();
        var launched = TimeProvider.System.GetUtcNow();
        var run = await server.EndedAsync(id);

        Assert.Equal((RunStatus.Completed, "awake", 2), (run.Status, run.Result, run.Epoch));
        var journal = await JournalAsync(server, id);
        var due = Assert.Single(journal, e => e.Kind == "timer_set").Body.GetProperty("due_at").GetDateTimeOffset();
        var fired = Assert.Single(journal, e => e.Kind == "timer_fired").At;
        Assert.True(fired >= due && fired < launched + TimeSpan.FromSeconds(12), $"due {due:O}, started again {launched:O}, fired {fired:O}");
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task A_signal_is_received_once_whether_it_came_before_the_wait_or_the_server_died_after_it()
    {
        const string program = """
            early = signal("go")
            outside("wait")
            print(early["data"], early["by"], signal("go", timeout=0.2), signal("more")["data"], signal("go", 30)["data"])
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        Assert.Equal(0, (await server.RunAsync("signal", id, "go", "--data", "{\"n\": 1}", "--id", "one", "--by", "ada")).Exit);
        Assert.Equal(0, (await server.RunAsync("signal", id, "go", "--data", "{\"n\": 1}", "--id", "one", "--by", "ada")).Exit);
        await Until.AsyncValue("the signal was received and the program waits for the model", () => Task.FromResult(server.AskedCalls(id).Count), asked => asked == 1);

        await server.KillAsync();
        await server.LaunchAsync();
        await Until.AsyncValue("the second wait is over", () => JournalAsync(server, id), journal => journal.Any(e => e.Kind == "timer_fired"));
        Assert.Equal(0, (await server.RunAsync("signal", id, "go", "--data", "2")).Exit);
        await KillAsync(server, id, withServer: false);
        Assert.Equal(0, (await server.RunAsync("signal", id, "more", "--data", "3")).Exit);
        var run = await server.EndedAsync(id);

        Assert.Equal((RunStatus.Completed, "{'n': 1} ada None 3 2"), (run.Status, run.Result));
        Assert.Equal(3, (await JournalAsync(server, id)).Count(e => e.Kind == "signal_consumed"));
        await server.AssertSoundAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_child_is_started_once_and_its_end_is_waited_for(bool withServer)
    {
        const string program = """
            manifest = "name: helper\nprocess: { command: [sh, -c, 'sleep 3; cat'] }\nsandbox: { memory: 128MiB, disk: 32MiB }\n"
            end = child(manifest, "a task", key="the helper")
            for bad in "name: [", manifest.replace("128MiB", "8GiB"):
                try:
                    child(bad, "")
                except StepFailed as refused:
                    print(refused.code)
            print(end["status"], end["result"])
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(Of(program));
        await Until.AsyncValue("it waits for its child", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Waiting == WaitReason.Child);

        await KillAsync(server, id, withServer);
        var run = await server.EndedAsync(id);

        Assert.Equal((RunStatus.Completed, "manifest_invalid\nnot_allowed\ncompleted a task"), (run.Status, run.Result));
        Assert.Single(await JournalAsync(server, id), e => e.Kind == "child_spawned");
        Assert.Single(await JournalAsync(server, id), e => e.Kind == "child_ended");
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task A_failure_is_tried_again_or_recorded_as_the_program_says()
    {
        const string program = """
            def shaky(attempt):
                if attempt["attempt"] < 3:
                    raise ValueError("not yet")
                return attempt["attempt"]
            def refused(attempt):
                raise StepFailed("the card is blocked", "card_blocked")
            print(step("shaky", shaky))
            for name in "refused", "refused":
                try:
                    step(name, refused, key=name) if name else None
                except StepFailed as failed:
                    print(failed.code, failed)
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);

        var run = await server.EndedAsync(await server.CreateAsync(Of(program)));

        Assert.Equal("3\ncard_blocked the card is blocked\nrequest_invalid the key 'refused' was used before in this start of the program: give each step a key of its own, or none", run.Result);
        var trace = await server.RunAsync("trace", run.Id);
        Assert.Contains("named shaky", trace.Out, StringComparison.Ordinal);
        Assert.Contains("ValueError: not yet", trace.Out, StringComparison.Ordinal);
        Assert.Contains("the card is blocked", trace.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_heartbeat_and_a_sleep_owe_no_progress_and_a_note_is_shown()
    {
        const string program = """
            def body(attempt):
                for part in range(10):
                    heartbeat(attempt, f"part {part}") if sys.stdin.read(1) != "x" else None
                    time.sleep(1)
                return "worked"
            print(step("work", body), sleep(10))
            """;
        await using var server = await ServerProcess.StartAsync(script: Script);
        var manifest = Of(program) + "limits: { no_progress: 8s }\n";
        var silent = await server.CreateAsync(manifest, new string('x', 100));
        var told = await server.CreateAsync(manifest, "");

        await Until.AsyncValue("the note", () => server.RunAsync("why", told), why => why.Out.Contains("named work: part", StringComparison.Ordinal));

        var paused = await server.EndedAsync(silent);
        Assert.Equal((RunStatus.Paused, LimitDimension.NoProgress), (paused.Status, paused.LimitAt));
        var run = await server.EndedAsync(told);
        Assert.Equal((RunStatus.Completed, "worked None"), (run.Status, run.Result));
    }

    /// <summary>A manifest of a Python program that has the shipped client beside it.</summary>
    private static string Of(string program)
    {
        var client = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "clients", "caisson.py"));
        var whole = $"import sys, types\nmodule = types.ModuleType('caisson')\nexec({JsonSerializer.Serialize(client)}, module.__dict__)\nsys.modules['caisson'] = module\n{Python}\n{program}";
        return $"name: stepper\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(whole)}] }}\nsandbox: {{ memory: 256MiB, disk: 32MiB }}\n";
    }

    private static async Task KillAsync(ServerProcess server, string run, bool withServer)
    {
        if (withServer)
        {
            await server.KillAsync();
            await server.LaunchAsync();
            return;
        }

        await server.KillProgramAsync(run, "pkill", "-KILL", "python3");
    }

    private sealed record Step(string Name, string Key, string Result);

    private static async Task<IReadOnlyList<Step>> StepsAsync(ServerProcess server, string run) =>
        [.. (await JournalAsync(server, run)).Where(e => e.Kind == "step_completed" && e.Body.GetProperty("step").GetProperty("kind").GetString() == "named")
            .Select(e => new Step(e.Body.GetProperty("step").GetProperty("name").GetString()!, e.Key!, e.Result?.GetRawText() ?? ""))];

    private static async Task<IReadOnlyList<JournalEntryView>> JournalAsync(ServerProcess server, string run)
    {
        var journal = new List<JournalEntryView>();
        await foreach (var entry in server.Client.ReadJournalAsync(run, 0, payloads: true, CancellationToken.None))
            journal.Add(entry);
        return journal;
    }

    private static string First(string json) => JsonDocument.Parse(json).RootElement[0].GetString()!;

    private static string Text(string json) => JsonDocument.Parse(json).RootElement.GetString()!;
}
