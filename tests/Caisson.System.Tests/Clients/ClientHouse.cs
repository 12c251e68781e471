using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Clients;

/// <summary>
/// A real server with the scripted provider on three wires, in which all clients do the same work at once, and somebody is
/// killed at one point of it: one death of the server is met by all of them.
/// </summary>
public sealed class ClientHouse : IAsyncLifetime
{
    /// <summary>Eight programs begin at once, on a machine that has other work.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    private readonly HeldClock _clock = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Dictionary<KillPoint, IReadOnlyDictionary<RealClient, ClientOutcome>> _done = [];
    private KillPoint? _failed;
    private ServerProcess? _server;

    internal ServerProcess Server => _server ?? throw new InvalidOperationException("no server was started");

    public async ValueTask InitializeAsync() => _server = await StartAsync(await ClientImage.FolderAsync(), KillPoint.Scripts(), _clock);

    internal static Task<ServerProcess> StartAsync(string image, string script, TimeProvider? clock = null, string more = "") => ServerProcess.StartAsync(script: script, modelTime: clock, more: $$"""
        [sandbox.images]
        clients = "dir:{{image}}"
        {{ServerProcess.OtherWires}}
        {{more}}
        """);

    /// <summary>What came of a client's work where somebody was killed at this point of it.</summary>
    internal async Task<ClientOutcome> OutcomeAsync(RealClient client, KillPoint point)
    {
        await _turn.WaitAsync(TestContext.Current.CancellationToken);
        try
        {
            // Runs that were left standing would be in the way of another round.
            if (_failed is not null)
                Assert.Fail($"the server was left in the middle of this round: {_failed}");
            if (!_done.TryGetValue(point, out var outcomes))
            {
                _failed = point;
                _done[point] = outcomes = await RoundAsync(point);
                _failed = null;
            }

            return outcomes[client];
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task<IReadOnlyDictionary<RealClient, ClientOutcome>> RoundAsync(KillPoint point)
    {
        _clock.Close();
        var runs = new Dictionary<RealClient, string>();
        foreach (var client in RealClient.All)
            runs[client] = await Server.CreateAsync(client.Manifest(point), "Do both parts.");
        if (point.Victim != Victim.Nobody)
        {
            await StandStillAsync(point, [.. runs.Values]);
            await KillAsync(point.Victim, [.. runs.Values]);
        }

        _clock.Open();
        var outcomes = new Dictionary<RealClient, ClientOutcome>();
        foreach (var (client, id) in runs)
        {
            var run = await Server.EndedAsync(id, Patience);
            var waste = await Server.Client.GetWasteAsync(id, CancellationToken.None);
            outcomes[client] = new ClientOutcome(run, await KilledAsync(Server, id), Server.AnsweredCalls(id), [.. waste.Items.Select(w => w.Step)]);
        }

        return outcomes;
    }

    private async Task StandStillAsync(KillPoint point, IReadOnlyList<string> runs)
    {
        foreach (var id in runs)
        {
            // The command behind a call begins when its answer is recorded.
            var recorded = point.InCall ? point.Call - 1 : point.Call;
            await Until.AsyncValue(
                $"{point}: it stands there",
                async () => (Run: await Server.Client.GetRunAsync(id, CancellationToken.None), Asked: Server.AskedCalls(id).Count),
                seen => (seen.Run.Steps == recorded && seen.Asked == point.Call) || seen.Run.Status.IsFinal() || seen.Run.Status == RunStatus.Paused,
                Patience);
        }

        if (point.InCall)
            await Until.AsyncValue($"{point}: answers stand still", () => Task.FromResult(_clock.Held), held => held == runs.Count);
    }

    private async Task KillAsync(Victim victim, IReadOnlyList<string> runs)
    {
        if (victim == Victim.Server)
        {
            await Server.KillAsync();
            _clock.Open();
            await Server.LaunchAsync();
            return;
        }

        foreach (var id in runs)
            await KillAgentAsync(Server, id);
    }

    internal static Task KillAgentAsync(ServerProcess server, string run) => server.KillProgramAsync(run, "killall", "-KILL", "node");

    /// <summary>How often the journal says that SIGKILL ended the program.</summary>
    internal static async Task<int> KilledAsync(ServerProcess server, string run) =>
        (await server.Client.ReadJournalAsync(run, 0, 500, payloads: false, CancellationToken.None)).Items.Count(e => e.Kind == "step_failed" && e.Body.GetRawText().Contains("ended by signal 9", StringComparison.Ordinal));

    public ValueTask DisposeAsync() => _server?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <param name="Killed">How often the program itself was, by the journal.</param>
/// <param name="Paid">Step keys of the calls that the provider answered, by its own log.</param>
/// <param name="Waste">Step keys of the calls that the waste ledger lists.</param>
internal sealed record ClientOutcome(RunView Run, int Killed, IReadOnlyList<string> Paid, IReadOnlyList<string> Waste)
{
    /// <summary>The work is whole, and the bill is that of undisturbed work and of what was under way when the server died.</summary>
    internal void AssertKept(RealClient client, KillPoint point)
    {
        var doubtful = point is { Victim: Victim.Server, InCall: true } ? 1 : 0;
        var twice = Paid.GroupBy(key => key).Where(calls => calls.Count() > 1).Select(calls => calls.Key).ToList();
        var seen = $"{client.Name}, {point}: {Run.Status} in epoch {Run.Epoch}, killed {Killed} times, {Paid.Count} calls are paid, {twice.Count} of them again, {Waste.Count} listed; {Run.Result ?? Run.Detail}";
        Assert.True((Run.Status, Run.Result) == (RunStatus.Completed, RealClient.Result), seen);
        Assert.True(Killed == (point.Victim == Victim.Agent ? 1 : 0), seen);
        Assert.True(Run.Epoch == (point.Victim == Victim.Server ? 2 : 1), seen);
        Assert.True(Paid.Count == RealClient.Calls + doubtful && twice.Count == doubtful, seen);
        Assert.True(twice.SequenceEqual(Waste), seen);
    }
}
