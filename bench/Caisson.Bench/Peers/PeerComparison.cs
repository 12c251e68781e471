using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;

namespace Caisson.Bench.Peers;

/// <summary>
/// The same work for each, on the same disk: in each round every peer starts on empty storage, warms up, and does all
/// of it, alone on the machine.
/// </summary>
internal static class PeerComparison
{
    internal const string Verb = "peers";

    private const int Alone = 200;
    private const int Steps = 20;
    private const int ToolMs = 50;

    private static readonly Figure Sync = new("disk: append 2 KiB + fdatasync, p50", "0.000", "ms");
    private static readonly PeerFigure Latency = new($"1 run × {Alone} steps: from step to step, p50, ms", "0.00");
    private static readonly PeerFigure LatencyTail = new("… p99, ms", "0.00");
    private static readonly PeerFigure Rate = new($"500 runs × {Steps} steps: steps/s", "0", MoreIsBetter: true, "≥ 10 × Restate, ≥ 30 × DBOS");
    private static readonly PeerFigure Cpu = new("… CPU seconds per 1,000 steps", "0.000");
    private static readonly PeerFigure Few = new($"500 runs × {Steps} steps × {ToolMs} ms (ideal: 1 s), s", "0.00");
    private static readonly PeerFigure Many = new($"2,000 runs × {Steps} steps × {ToolMs} ms (ideal: 1 s), s", "0.00");

    private static readonly Dictionary<string, Func<string, PeerTools, Task<IPeer>>> Known = new()
    {
        ["Caisson"] = CaissonPeer.StartAsync,
        ["Restate"] = RestatePeer.StartAsync,
        ["DBOS"] = DbosPeer.StartAsync,
    };

    internal static async Task<int> RunAsync(string toolsFolder, int rounds)
    {
        var tools = new PeerTools(toolsFolder);
        var inMemory = new DriveInfo(Path.GetTempPath()).DriveFormat is "tmpfs" or "ramfs";
        if ((inMemory ? $"{Path.GetTempPath()} is in memory, where a sync costs nothing: set TMPDIR to a folder on a disk" : tools.Missing()) is { } missing)
        {
            await Console.Error.WriteLineAsync(missing);
            return 1;
        }

        var floor = new Report();
        var table = new PeerTable([.. Known.Keys]);
        for (var number = 1; number <= rounds; number++)
        {
            foreach (var (name, start) in Known)
            {
                // Outside of the checkout: PostgreSQL's own user has to reach its folder, and all have to be on one disk.
                using var scratch = Scratch.InTemporary();
                floor.Add(Sync, Statistics.Median(DiskProbe.Syncs(scratch.Path, 400)));
                await using (var peer = await start(scratch.Path, tools))
                    await MeasureAsync(peer, name, table);
                await Console.Error.WriteLineAsync($"round {number} of {rounds}: {name} done");
            }
        }

        Console.WriteLine($"{Machine.Description}, {rounds} rounds: median [least–most]");
        Console.WriteLine($"Restate {tools.Version("@restatedev/restate-server")}, DBOS {tools.Version("@dbos-inc/dbos-sdk")} on PostgreSQL {Path.GetFileName(Path.GetDirectoryName(PostgresServer.Programs))}");
        Console.WriteLine();
        Console.WriteLine(table.Markdown());
        Console.Write(floor.Markdown());
        return 0;
    }

    private static async Task MeasureAsync(IPeer peer, string name, PeerTable table)
    {
        // Each of them compiles its code while it runs: what counts is a server that has been up for a while.
        await peer.RunAsync(1, Alone, 0);
        await peer.RunAsync(500, Steps, 0);

        var alone = await peer.RunAsync(1, Alone, 0);
        table.Add(Latency, name, alone.P50);
        table.Add(LatencyTail, name, alone.P99);

        var cpu = ProcessTree.CpuSeconds(peer.Processes);
        var all = await peer.RunAsync(500, Steps, 0);
        table.Add(Rate, name, 500 * Steps / all.Wall.TotalSeconds);
        table.Add(Cpu, name, (ProcessTree.CpuSeconds(peer.Processes) - cpu) / (500 * Steps) * 1000);

        table.Add(Few, name, (await peer.RunAsync(500, Steps, ToolMs)).Wall.TotalSeconds);
        table.Add(Many, name, (await peer.RunAsync(2_000, Steps, ToolMs)).Wall.TotalSeconds);
    }
}
