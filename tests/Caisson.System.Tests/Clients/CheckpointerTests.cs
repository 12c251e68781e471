using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Clients;

/// <summary>
/// LangGraph with its PostgreSQL checkpointer: it keeps what it did, but somebody has to invoke it again with its thread
/// after a crash. Here nobody does: the run is started once, and comes to its end.
/// </summary>
public sealed class CheckpointerTests
{
    private const string Stop = "[ $CAISSON_RUN_EPOCH-$CAISSON_ATTEMPT != 1-1 ] || sleep 1000; ";

    private const string Last = """{ say: "All done." }""";

    private static readonly string Script = $"""
        scripts:
          - model: agent-dies
            turns: [{Turn("", "a")}, {Turn(Stop, "b")}, {Turn("", "c")}, {Last}]
          - model: server-dies
            turns: [{Turn("", "a")}, {Turn("", "b")}, {Turn(Stop, "c")}, {Last}]
        """;

    [Fact]
    public async Task A_thread_goes_on_from_its_checkpoint_without_anybody_who_invokes_it_again()
    {
        await using var database = await PostgresServer.StartAsync();
        await using var server = await ClientHouse.StartAsync(await ClientImage.FolderAsync(), Script, more: $"[services.threads]\naddress = \"127.0.0.1:{database.Port}\"");

        var first = await StoodAsync(server, "agent-dies", calls: 2);
        await ClientHouse.KillAgentAsync(server, first);
        await AssertResumedAsync(server, first, epoch: 1);
        Assert.Equal(1, await ClientHouse.KilledAsync(server, first));

        var second = await StoodAsync(server, "server-dies", calls: 3);
        await server.KillAsync();
        await server.LaunchAsync();
        await AssertResumedAsync(server, second, epoch: 2);
        await server.AssertSoundAsync();
    }

    private static string Turn(string before, string word) => $$"""{ call: { name: shell, arguments: { command: "{{before}}echo {{word}}" } } }""";

    private static async Task<string> StoodAsync(ServerProcess server, string model, int calls)
    {
        var id = await server.CreateAsync($$"""
            name: threads
            process:
              command: [node, /clients/langgraph-postgres.mjs]
              env: { MODEL: {{model}}, THREAD: {{model}}, DATABASE_URL: "postgresql://{{PostgresServer.User}}@127.0.0.1:5432/postgres" }
            sandbox: { image: clients, memory: 512MiB, disk: 32MiB }
            services: [{ name: threads, port: 5432 }]
            """, "Do three things.");
        await Until.AsyncValue($"{calls} calls are recorded", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps == calls || run.Status.IsFinal(), ClientHouse.Patience);
        return id;
    }

    private static async Task AssertResumedAsync(ServerProcess server, string id, long epoch)
    {
        var run = await server.EndedAsync(id, ClientHouse.Patience);
        Assert.Equal((RunStatus.Completed, "All done. a b c resumed", epoch), (run.Status, run.Result ?? run.Detail, run.Epoch));
        Assert.Equal(4, server.AnsweredCalls(id).Count);
        Assert.Empty((await server.Client.GetWasteAsync(id, CancellationToken.None)).Items);
    }
}
