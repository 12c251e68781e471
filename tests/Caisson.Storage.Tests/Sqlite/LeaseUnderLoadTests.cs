using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Sqlite;

public sealed class LeaseUnderLoadTests
{
    /// <summary>The writer never rests here. A renewal that starved beside it would make a healthy, busy node suspect.</summary>
    [Fact]
    public async Task A_renewal_comes_through_while_the_writer_is_busy()
    {
        using var folder = new TempFolder();
        await using var store = SqliteStoreHost.Open(folder.Path, TimeProvider.System);
        var ids = new SystemIds(TimeProvider.System);
        var node = new NodeId(ids.NextRandom());
        await store.RegisterAsync(new NodeRegistration(node, "host", "boot", 1, 2), default);
        using var enough = new CancellationTokenSource();
        var busy = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var appended = 0;
        var load = Enumerable.Range(0, 64).Select(_ => Task.Run(async () =>
        {
            var run = new RunId(ids.NextRun());
            await store.CreateAsync(new NewRun(run, "a", null, "hash", TimeProvider.System.GetUtcNow(), new JournalDraft(EntryKind.RunCreated, "{}"u8.ToArray()), new RunSummary(), null, null), default);
            var record = ((ClaimOutcome.Claimed)await store.ClaimAsync(run, node, default)).Run;
            for (var seq = record.LastSeq + 1; !enough.IsCancellationRequested; seq++)
            {
                var unit = new ChangeSet(run, new Fence(node, record.Epoch), ids.NextRandom(), seq, TimeProvider.System.GetUtcNow(),
                    [new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray(), Key: "k", Payload: new byte[2048])],
                    new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, TimeProvider.System.GetUtcNow(), false, record.Summary), [], []);
                Assert.IsType<AppendOutcome.Committed>(await store.AppendAsync(unit, default));
                if (Interlocked.Increment(ref appended) == 1_000)
                    busy.SetResult();
            }
        })).ToList();

        await busy.Task;
        var slowest = TimeSpan.Zero;
        for (var i = 0; i < 30; i++)
        {
            var watch = Stopwatch.StartNew();
            Assert.Equal(RenewOutcome.Renewed, await Task.Run(() => store.Renew(node)));
            slowest = watch.Elapsed > slowest ? watch.Elapsed : slowest;
        }

        await enough.CancelAsync();
        await Task.WhenAll(load);
        Assert.True(slowest < LeaseTimes.Beat, $"a renewal took {slowest}");
    }
}
