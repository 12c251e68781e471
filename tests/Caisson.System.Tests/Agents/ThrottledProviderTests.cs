using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>A real server whose provider asks to be left alone, and then cannot answer at all.</summary>
public sealed class ThrottledProviderTests
{
    private const string Script = """
        scripts:
          - model: busy
            turns: [{ say: At last., fail: { status: 429, retry_after: 6 } }]
          - model: calm
            turns: [{ say: In turn. }]
          - model: down
            turns: [{ say: never, fail: { status: 500, times: forever } }]
        """;

    [Fact]
    public async Task What_one_run_is_told_holds_for_another_which_shows_that_it_waits()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var told = await server.CreateAsync(ServerProcess.ManifestOf("busy"));
        await UntilAsync(server, told, run => run.Waiting == WaitReason.Retry);

        var other = await server.CreateAsync(ServerProcess.ManifestOf("calm"));
        var waits = await UntilAsync(server, other, run => run.Waiting == WaitReason.Provider);

        Assert.Contains("waiting for provider mock until ", waits.Detail, StringComparison.Ordinal);
        Assert.Empty(server.AnsweredCalls(other));
        Assert.Equal("In turn.", (await UntilAsync(server, other, run => run.Status.IsFinal())).Result);
        Assert.Equal("At last.", (await UntilAsync(server, told, run => run.Status.IsFinal())).Result);
        Assert.Null((await server.Client.GetRunAsync(other, TestContext.Current.CancellationToken)).Detail);
    }

    [Fact]
    public async Task A_run_is_answered_by_another_model_when_its_own_cannot()
    {
        await using var server = await ServerProcess.StartAsync(script: Script, more: """
            [providers.ill]
            base_url = "MODEL/v1"
            fallback = "mock/calm"
            prices."*" = { input = 5.0, output = 50.0 }
            """);

        var id = await server.CreateAsync(ServerProcess.ManifestOf("down").Replace("mock/down", "ill/down", StringComparison.Ordinal));
        var run = await UntilAsync(server, id, r => r.Status.IsFinal());
        var trace = await CaissonProgram.RunAsync(["trace", id, "-o", "json", "--server", server.Address.ToString()]);

        Assert.Equal((RunStatus.Completed, "In turn."), (run.Status, run.Result));
        Assert.Contains("\"answeredBy\": \"mock/calm\"", trace.Out, StringComparison.Ordinal);
        Assert.Matches("\"prices\": \"[0-9a-f]{64}\"", trace.Out);
    }

    private static Task<RunView> UntilAsync(ServerProcess server, string id, Func<RunView, bool> what) =>
        Until.AsyncValue("the run to come so far", () => server.Client.GetRunAsync(id, TestContext.Current.CancellationToken), what);
}
