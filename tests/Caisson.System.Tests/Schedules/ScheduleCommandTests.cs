using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Schedules;

[Collection(nameof(SharedServer))]
public sealed class ScheduleCommandTests(SharedServer shared)
{
    private readonly ServerProcess _server = shared.Server;

    [Fact]
    public async Task A_schedule_is_put_shown_paused_resumed_and_removed()
    {
        var put = await RunAsync("put", "life", "agent.yaml", "--cron", "0 9 * * 1-5", "--time-zone", "Europe/Berlin", "--overlap", "queue", "--jitter", "30s", "-i", "go", "--label", "team=ops");
        Assert.StartsWith("life is active: next at ", put, StringComparison.Ordinal);

        var get = await RunAsync("get", "life");
        Assert.Contains("0 9 * * 1-5 (Europe/Berlin)", get, StringComparison.Ordinal);
        Assert.Equal(5, get.Split('\n').Count(line => line.StartsWith("next ", StringComparison.Ordinal)));
        using var json = JsonDocument.Parse(await RunAsync("get", "life", "-o", "json"));
        Assert.Equal(("queue", "30s", 5, "go"), (json.RootElement.GetProperty("overlap").GetString(), json.RootElement.GetProperty("jitter").GetString(),
            json.RootElement.GetProperty("next").GetArrayLength(), json.RootElement.GetProperty("spec").GetProperty("input").GetString()));

        Assert.Equal("life is paused\n", await RunAsync("pause", "life"));
        Assert.Contains("paused", Assert.Single((await RunAsync("list")).Split('\n'), line => line.StartsWith("life ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.StartsWith("life is active: next at ", await RunAsync("resume", "life"), StringComparison.Ordinal);
        Assert.Contains((await RunAsync("list", "-o", "jsonl")).TrimEnd('\n').Split('\n'), line => JsonDocument.Parse(line).RootElement.GetProperty("name").GetString() == "life");

        Assert.Equal("life is removed\n", await RunAsync("rm", "life"));
        var gone = await _server.RunAsync("schedule", "get", "life");
        Assert.Equal((5, "caisson: there is no schedule 'life': 'caisson schedule list' lists them"), (gone.Exit, gone.ErrorLine));
    }

    [Theory]
    [InlineData("--cron", "0 0 30 2 *", "caisson: schedule 'wrong': cron: found '0 0 30 2 *', allowed is an expression that some date fits")]
    [InlineData("--every", "0s", "caisson: schedule 'wrong': every: found '0s', allowed is a duration in whole seconds")]
    public async Task A_schedule_that_cannot_be_is_refused_in_one_line(string option, string value, string says)
    {
        var answer = await _server.RunAsync("schedule", "put", "wrong", "agent.yaml", option, value);

        Assert.Equal(3, answer.Exit);
        Assert.StartsWith(says, answer.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_use_names_the_whole_command()
    {
        Assert.EndsWith("see 'caisson schedule put --help'", (await _server.RunAsync("schedule", "put", "x")).ErrorLine, StringComparison.Ordinal);
        Assert.EndsWith("see 'caisson schedule --help'", (await _server.RunAsync("schedule")).ErrorLine, StringComparison.Ordinal);
        var start = await _server.RunAsync("schedule", "put", "x", "agent.yaml", "--every", "1h", "--start", "soon");
        Assert.Equal(2, start.Exit);
        Assert.StartsWith("caisson: --start: found 'soon'", start.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_trigger_starts_a_run_once_for_each_key()
    {
        await RunAsync("put", "handy", "agent.yaml", "--every", "300d", "-i", "by hand", "--paused", "true");

        var first = await RunAsync("trigger", "handy", "--idempotency-key", "k1");
        var again = await _server.RunAsync("schedule", "trigger", "handy", "--idempotency-key", "k1");

        Assert.Equal(first, again.Out);
        Assert.Contains("exists already", again.Error, StringComparison.Ordinal);
        var run = await Until.AsyncValue("the run's end", () => _server.Client.GetRunAsync(first.TrimEnd('\n'), CancellationToken.None), run => run.Status.IsFinal());
        Assert.Equal(("You said: by hand", "handy"), (run.Result, run.Labels["schedule"]));
        Assert.Null((await _server.Client.GetScheduleAsync("handy", CancellationToken.None)).LastRun);
        await RunAsync("rm", "handy");
    }

    [Fact]
    public async Task A_due_time_starts_a_run()
    {
        var start = TimeProvider.System.GetUtcNow();
        await _server.Client.PutScheduleAsync("soon", new ScheduleSpec(ServerProcess.Manifest, null, "tick", Cron: "* * * * * *", End: start.AddSeconds(4)), CancellationToken.None);

        var schedule = await Until.AsyncValue("its last time", () => _server.Client.GetScheduleAsync("soon", CancellationToken.None), s => s.Next.Count == 0);

        var run = await _server.Client.GetRunAsync(schedule.LastRun!, CancellationToken.None);
        Assert.Equal("soon", run.Labels["schedule"]);
        // The last time, or one before it, where a run took longer than a second and the next one was skipped for it.
        Assert.InRange(schedule.LastAt!.Value.ToUnixTimeSeconds(), start.ToUnixTimeSeconds() + 1, start.ToUnixTimeSeconds() + 4);
        Assert.Contains("over", await RunAsync("get", "soon"), StringComparison.Ordinal);
        await _server.Client.RemoveScheduleAsync("soon", CancellationToken.None);
    }

    [Theory]
    [InlineData("""{"manifest":"x","input":"y","cron":"0 9 * * *","surprise":1}""", "surprise")]
    [InlineData("""{"manifest":"x","cron":"0 9 * * *"}""", "input")]
    [InlineData("""{"manifest":"x","input":"y","cron":5}""", "cron")]
    public async Task A_body_that_is_not_understood_is_refused(string body, string says)
    {
        using var content = new StringContent(body, global::System.Text.Encoding.UTF8, "application/json");

        using var answer = await _server.Http.PutAsync(new Uri("v1/schedules/nightly", UriKind.Relative), content);

        var problem = JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(), ApiJson.Default.Problem)!;
        Assert.Equal((400, "request_invalid"), (problem.Status, problem.Code));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_there_is_a_problem_with_its_code()
    {
        foreach (var ask in new Func<Task>[]
        {
            () => _server.Client.GetScheduleAsync("nowhere", CancellationToken.None),
            () => _server.Client.PauseScheduleAsync("nowhere", CancellationToken.None),
            () => _server.Client.ResumeScheduleAsync("nowhere", CancellationToken.None),
            () => _server.Client.TriggerScheduleAsync("nowhere", null, CancellationToken.None),
            () => _server.Client.RemoveScheduleAsync("nowhere", CancellationToken.None),
        })
        {
            var refused = await Assert.ThrowsAsync<ApiException>(ask);
            Assert.Equal((404, ErrorCodes.ScheduleNotFound), (refused.Problem.Status, refused.Problem.Code));
        }
    }

    /// <summary>What a command prints when all is well.</summary>
    private async Task<string> RunAsync(params string[] arguments)
    {
        var answer = await _server.RunAsync(["schedule", .. arguments]);
        Assert.True(answer.Exit == 0, $"{string.Join(' ', arguments)}: {answer.Exit} {answer.Error}");
        return answer.Out;
    }
}
