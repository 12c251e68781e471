using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>Programs that go round in circles, and programs that part from their journal, in real boxes.</summary>
public sealed class ProcessGuardTests
{
    private const string Script = """
        scripts:
          - model: sensible
            match: { last: "[caisson:" }
            turns:
              - say: I see, it is missing.
                repeat: forever
          - model: [sensible, stubborn]
            turns:
              - call: { name: cat, arguments: { file: missing.txt } }
                repeat: forever
          - model: fickle
            turns:
              - say: One.
              - say: Two.
              - { say: Three., delay: 2s }
              - say: Four.
        """;

    private const string Looping = """
        import json, os, sys, urllib.request
        messages = [{"role": "user", "content": "what is in the file?"}]
        while True:
            body = json.dumps({"model": sys.argv[1], "messages": messages}).encode()
            answer = json.load(urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"})))["choices"][0]["message"]
            messages.append(answer)
            if not answer.get("tool_calls"):
                break
            messages += [{"role": "tool", "tool_call_id": c["id"], "content": "no such file"} for c in answer["tool_calls"]]
        print(answer["content"], len(messages))
        """;

    // Says another word at each start, after the first answer.
    private const string Fickle = """
        import json, os, random, urllib.request
        messages = [{"role": "user", "content": "begin"}]
        word = "".join(random.choices("bcdfgh", k=12))
        for i in range(4):
            body = json.dumps({"model": "fickle", "messages": messages}).encode()
            answer = json.load(urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"})))["choices"][0]["message"]
            messages += [answer, {"role": "user", "content": word}]
        print(answer["content"])
        """;

    [Fact]
    public async Task A_circle_is_told_to_the_model_then_halts_the_run_and_a_resume_counts_anew()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);

        // Strike one: the word reaches the model, and no hash or record of the program's.
        var sensible = await server.EndedAsync(await server.CreateAsync(Manifest("sensible", Looping, "sensible")));
        Assert.Equal((RunStatus.Completed, "I see, it is missing. 8"), (sensible.Status, sensible.Result));
        Assert.Contains("warned", (await server.RunAsync("trace", sensible.Id, "--loops")).Out, StringComparison.Ordinal);

        // Strike two.
        var stubborn = await server.EndedAsync(await server.CreateAsync(Manifest("stubborn", Looping, "stubborn")));
        Assert.Equal((RunStatus.Paused, PauseCause.Loop), (stubborn.Status, stubborn.Paused));
        Assert.Equal(8, server.AnsweredCalls(stubborn.Id).Count);
        var loop = JsonSerializer.Deserialize<JsonElement>((await server.RunAsync("trace", stubborn.Id, "--loops", "-o", "json")).Out).GetProperty("loops").EnumerateArray().Single();
        Assert.Equal(("repeat", "cat", 8, true, 8), (loop.GetProperty("signal").GetString(), loop.GetProperty("tool").GetString(), loop.GetProperty("count").GetInt32(), loop.GetProperty("acted").GetBoolean(), loop.GetProperty("calls").GetInt32()));
        Assert.True(loop.GetProperty("nanoUsd").GetInt64() > 0 && loop.GetProperty("tokens").GetInt64() > 0);

        Assert.Equal(0, (await server.RunAsync("resume", stubborn.Id)).Exit);
        await Until.AsyncValue("it pauses again", () => server.Client.GetRunAsync(stubborn.Id, CancellationToken.None), r => r.Status == RunStatus.Paused && server.AnsweredCalls(stubborn.Id).Count > 8);

        // The eight from before were answered from the journal, and counted from there on.
        Assert.Equal(16, server.AnsweredCalls(stubborn.Id).Count);
        Assert.Contains("answered from the journal: 8 at L0", (await server.RunAsync("trace", stubborn.Id)).Out, StringComparison.Ordinal);
        await server.AssertSoundAsync();
    }

    [Theory]
    [InlineData("live", RunStatus.Completed)]
    [InlineData("pause", RunStatus.Paused)]
    [InlineData("fail", RunStatus.Failed)]
    public async Task A_program_that_parts_from_its_journal_goes_on_or_halts_as_its_policy_says(string policy, RunStatus expected)
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync($"name: fickle\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(Fickle)}], on_divergence: {policy} }}\nsandbox: {{ memory: 256MiB, disk: 16MiB }}\n");
        await Until.AsyncValue("the third call is with the provider", () => Task.FromResult(server.AskedCalls(id).Count), asked => asked == 3);
        await server.KillProgramAsync(id, "pkill", "-KILL", "python3");

        var run = await server.EndedAsync(id);
        Assert.Equal(expected, run.Status);
        var trace = (await server.RunAsync("trace", id)).Out;
        Assert.Contains("answered from the journal: 1 at L0", trace, StringComparison.Ordinal);
        if (expected == RunStatus.Completed)
            Assert.Equal("Four.", run.Result);
        Assert.Equal(expected == RunStatus.Completed ? 6 : 3, server.AskedCalls(id).Count);
        Assert.Contains(expected == RunStatus.Failed ? "its policy on divergence is to fail" : "where entry", trace, StringComparison.Ordinal);
    }

    private static string Manifest(string name, string program, string argument) =>
        $"name: {name}\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(program)}, {argument}] }}\nsandbox: {{ memory: 256MiB, disk: 16MiB }}\n";
}
