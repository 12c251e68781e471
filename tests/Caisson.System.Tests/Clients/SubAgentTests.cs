using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Clients;

/// <summary>Two agents at once in one program, whose prompts differ by one id: neither is ever given the other's answers.</summary>
public sealed class SubAgentTests
{
    private const string A = "6f9619ff-8b86-d011-b42d-00c04fc964ff", B = "7a1b3c4d-1111-4222-8333-444455556666";

    private const string Result = $"first: Done: Look after {A}\nsecond: Done: Look after {B}";

    // A's second call is held, so there is a moment at which B's calls are recorded and A's is not.
    private const string Script = $$$"""
        scripts:
          - model: worker
            match: { input: "Look after {{{A}}}" }
            turns:
              - call: { name: shell, arguments: { command: "echo {{input}}" } }
              - { say: "Done: {{input}}", delay: 2m }
          - model: worker
            match: { input: "Look after {{{B}}}" }
            turns:
              - call: { name: shell, arguments: { command: "echo {{input}}" } }
              - say: "Done: {{input}}"
          - model: minted
            match: { input: "Look after" }
            turns:
              - call: { name: shell, arguments: { command: "echo {{input}}; [ $CAISSON_RUN_EPOCH-$CAISSON_ATTEMPT != 1-1 ] || sleep 1000" } }
              - say: "Done: {{input}}"
          - model: worker
            turns:
              - call:
                  - { name: task, id: first, arguments: { subagent_type: general-purpose, description: "Look after {{{A}}}" } }
                  - { name: task, id: second, arguments: { subagent_type: general-purpose, description: "Look after {{{B}}}" } }
              - say: Both are done.
        """;

    private static string Manifest(string program, string model) =>
        $"name: {program}\nprocess:\n  command: [node, /clients/{program}.mjs]\n  env: {{ MODEL: {model} }}\nsandbox: {{ image: clients, memory: 512MiB, disk: 32MiB }}\n";

    [Fact]
    public async Task Sub_agents_get_their_own_answers_whoever_is_killed_while_only_one_of_them_is_recorded()
    {
        var clock = new HeldClock();
        await using var server = await ClientHouse.StartAsync(await ClientImage.FolderAsync(), Script, clock);

        var alone = await HeldAsync(server, clock);
        await ClientHouse.KillAgentAsync(server, alone);
        clock.Open();
        var run = await server.EndedAsync(alone, ClientHouse.Patience);
        Assert.Equal((RunStatus.Completed, Result, 1), (run.Status, run.Result ?? run.Detail, run.Epoch));
        Assert.Equal((1, 6), (await ClientHouse.KilledAsync(server, alone), server.AnsweredCalls(alone).Count));

        clock.Close();
        var together = await HeldAsync(server, clock);
        await server.KillAsync();
        clock.Open();
        await server.LaunchAsync();
        run = await server.EndedAsync(together, ClientHouse.Patience);
        Assert.Equal((RunStatus.Completed, Result, 2), (run.Status, run.Result ?? run.Detail, run.Epoch));
        var paid = server.AnsweredCalls(together);
        Assert.Equal((6, 7), (paid.Distinct().Count(), paid.Count));
        Assert.Equal(paid.GroupBy(key => key).Where(calls => calls.Count() > 1).Select(calls => calls.Key), (await server.Client.GetWasteAsync(together, CancellationToken.None)).Items.Select(w => w.Step));
        await server.AssertSoundAsync();
    }

    /// <summary>Nothing says which of the new agents is which of the old ones, so what was recorded answers neither: it is asked anew.</summary>
    [Fact]
    public async Task Agents_whose_ids_are_made_anew_at_each_start_are_asked_for_anew_rather_than_confused()
    {
        await using var server = await ClientHouse.StartAsync(await ClientImage.FolderAsync(), Script);
        var id = await server.CreateAsync(Manifest("own-ids", "minted"), "go");
        await Until.AsyncValue("both first calls are recorded", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.Steps == 2 || run.Status.IsFinal(), ClientHouse.Patience);

        await ClientHouse.KillAgentAsync(server, id);

        var run = await server.EndedAsync(id, ClientHouse.Patience);
        Assert.Equal((RunStatus.Completed, "[ true, true ]"), (run.Status, run.Result ?? run.Detail));
        Assert.Equal((1, 2 + 4), (await ClientHouse.KilledAsync(server, id), server.AnsweredCalls(id).Count));
    }

    /// <summary>A run of which A's second call stands with the provider, and all that can be done without it is recorded.</summary>
    private static async Task<string> HeldAsync(ServerProcess server, HeldClock clock)
    {
        var id = await server.CreateAsync(Manifest("sub-agents", "worker"), "Go on with both.");
        await Until.AsyncValue("only A waits", async () => (clock.Held, Run: await server.Client.GetRunAsync(id, CancellationToken.None)), seen => seen is { Held: 1, Run.Steps: 4 } || seen.Run.Status.IsFinal(), ClientHouse.Patience);
        return id;
    }
}
