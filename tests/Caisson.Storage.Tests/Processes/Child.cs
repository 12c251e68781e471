using System.Globalization;
using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Tests.EngineTests;
using Caisson.Storage.Tests.Safety;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.Processes;

/// <summary>
/// What the killed process does. Each line on its output is a fact that was acknowledged before it was written, and
/// ends with a full stop, so that a line cut by the kill is seen.
/// </summary>
internal static class Child
{
    internal const int Runs = 6;
    internal const int Steps = 25;
    internal const string Manifest = "name: worker\ncode: worker\nlimits: {steps: 1000}";

    private static readonly Lock One = new();

    internal static async Task<int> RunAsync(string role, string folder)
    {
        switch (role)
        {
            case "append":
                await AppendForeverAsync(folder);
                break;
            case "engine":
                await DriveForeverAsync(folder);
                break;
            case "sweep":
                await SweepLoadTests.SweepForeverAsync(folder, Say);
                break;
        }

        return 1;
    }

    private static async Task AppendForeverAsync(string folder)
    {
        await using var store = SqliteStoreHost.Open(folder, TimeProvider.System);
        var ids = new SystemIds(TimeProvider.System);
        var node = new NodeId(ids.NextRandom());
        await store.RegisterAsync(new NodeRegistration(node, "host", "boot", Environment.ProcessId, 0), default);
        var runs = (await store.ListAsync(new RunFilter(null, null, null, 100), default)).Select(r => r.Id).ToList();
        while (runs.Count < Runs)
        {
            var run = new RunId(ids.NextRun());
            await store.CreateAsync(new NewRun(run, "a", null, "hash", TimeProvider.System.GetUtcNow(), new JournalDraft(EntryKind.RunCreated, "{}"u8.ToArray()), new RunSummary(), null, null), default);
            runs.Add(run);
        }

        await Task.WhenAll(runs.Select(run => Task.Run(async () =>
        {
            var record = ((ClaimOutcome.Claimed)await store.ClaimAsync(run, node, default)).Run;
            for (var seq = record.LastSeq + 1; ; seq++)
            {
                var content = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{run} {seq}"));
                var unit = new ChangeSet(run, new Fence(node, record.Epoch), ids.NextRandom(), seq, TimeProvider.System.GetUtcNow(),
                    [new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray(), Key: "k", Payload: content)],
                    new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, TimeProvider.System.GetUtcNow(), false, record.Summary with { Steps = seq }), [], []);
                if (await store.AppendAsync(unit, default) is not AppendOutcome.Committed)
                    throw new InvalidOperationException($"entry {seq} was refused");
                Say($"{run} {seq}");
            }
        })));
    }

    private static async Task DriveForeverAsync(string folder)
    {
        await using var server = new TestServer(folder);
        server.Register("worker", context => WorkAsync(context, Say));
        await server.StartAsync();
        await server.Engine.Stopped;
    }

    /// <summary>The agent: says when it executes a step, and when it has its result.</summary>
    internal static async Task<string> WorkAsync(IRunContext context, Action<string> say)
    {
        for (var i = 0; i < Steps; i++)
        {
            await context.StepAsync("step", async step =>
            {
                say($"did {context.Run} {i}");
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, step.Cancellation);
                return $"{i}";
            });
            say($"has {context.Run} {i}");
        }

        return "done";
    }

    private static void Say(string line)
    {
        lock (One)
        {
            Console.Out.Write(line + ".\n");
            Console.Out.Flush();
        }
    }
}
