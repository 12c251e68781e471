using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

public sealed class ForkOperationsTests
{
    private static readonly ForkSpec Plain = new(null, null, new RunOverrides(), ForkEffects.Live, Admin: false);

    private readonly OperationsRig _rig = new();

    private RunOperations Operations => _rig.Operations;

    [Fact]
    public async Task A_fork_is_a_run_of_its_own_whose_journal_verifies()
    {
        var root = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Waiting, change: r => r with { Tenant = "blue" });
        var address = (await _rig.Blobs.PutAsync(["large"u8.ToArray()], default))[0];
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a", blob: address).Completed("b").Paused(PauseCause.Operator), RunStatus.Paused, PauseCause.Operator,
            new RunSummary { Steps = 2 }, r => r with { Parent = root, Depth = 1, Tenant = "blue" });

        var fork = Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain, null, default)).Run;

        var record = (await _rig.Store.FindAsync(fork, default))!;
        Assert.Equal((RunStatus.Ready, "agent", root, 1, "blue", 2L, 4L), (record.Status, record.Agent, record.Parent!.Value, record.Depth, record.Tenant, record.Summary.Steps, record.LastSeq));
        var journal = await _rig.Store.ReadJournalAsync(fork, 0, 100, default);
        Assert.Equal([EntryKind.RunCreated, EntryKind.ForkedFrom, EntryKind.StepCompleted, EntryKind.StepCompleted], journal.Select(e => e.Kind));
        var from = JournalJson.Read<EntryBody.ForkedFrom>(journal[1].Body);
        Assert.Equal((parent.ToString(), 4L, fork.ToString(), ForkEffects.Live), (from.Parent, from.Seq, from.Lineage, from.Effects));
        Assert.Equal([new SeedSpan(parent.ToString(), 4)], from.Seeds);
        Assert.Empty((await Operations.VerifyAsync(fork, default))!.Findings);
        Assert.Equal(["tenant:blue", $"run:{root}", $"run:{fork}"], Assert.IsType<BudgetOutcome.Found>(await Operations.RunBudgetAsync(fork, default)).Budget.Path);
    }

    [Fact]
    public async Task A_fork_keeps_the_original_times_of_what_it_brings()
    {
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a"));
        var before = await _rig.Store.ReadJournalAsync(parent, 0, 100, default);
        _rig.Clock.Advance(TimeSpan.FromDays(1));

        var fork = Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain, null, default)).Run;

        var journal = await _rig.Store.ReadJournalAsync(fork, 0, 100, default);
        Assert.Equal((before[0].At, before[^1].At), (journal[0].At, journal[^1].At));
        Assert.Equal(_rig.Clock.GetUtcNow(), journal[1].At);
        Assert.Equal(_rig.Clock.GetUtcNow(), (await _rig.Store.FindAsync(fork, default))!.CreatedAt);
    }

    [Fact]
    public async Task A_blob_that_is_gone_is_told_before_anything_is_created()
    {
        var address = (await _rig.Blobs.PutAsync(["large"u8.ToArray()], default))[0];
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a").Completed("b", blob: address));
        _rig.Blobs.Remove(address);

        var refused = Assert.IsType<CreateRunOutcome.Refused>(await Operations.ForkAsync(parent, Plain, null, default)).Failure;

        Assert.Equal(ErrorCodes.BlobMissing, refused.Code);
        Assert.Contains(address, refused.Message, StringComparison.Ordinal);
        Assert.Single(await _rig.Store.ListAsync(new RunFilter(null, null, null, 10), default));
        Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain with { At = 3 }, null, default));
    }

    [Fact]
    public async Task A_workspace_that_is_gone_is_told_as_well()
    {
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a", workspace: "0123"));

        Assert.Equal(ErrorCodes.BlobMissing, Assert.IsType<CreateRunOutcome.Refused>(await Operations.ForkAsync(parent, Plain, null, default)).Failure.Code);
    }

    [Fact]
    public async Task The_same_key_makes_one_fork()
    {
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a"));

        var first = Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain, "k", default));
        var second = Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain, "k", default));
        var other = Assert.IsType<CreateRunOutcome.Refused>(await Operations.ForkAsync(parent, Plain with { Effects = ForkEffects.DryRun }, "k", default));

        Assert.Equal((first.Run, false, true), (second.Run, first.Existing, second.Existing));
        Assert.Equal(ErrorCodes.IdempotencyMismatch, other.Failure.Code);
    }

    [Fact]
    public async Task Caps_of_the_fork_s_request_are_its_ledger_s()
    {
        var parent = await _rig.PutAsync(TestJournal.Begin().Completed("a"));

        var fork = Assert.IsType<CreateRunOutcome.Accepted>(await Operations.ForkAsync(parent, Plain with { Limits = new RunOverrides(Usd: "0.25", Tokens: 7) }, null, default)).Run;

        var record = (await _rig.Store.FindAsync(fork, default))!;
        Assert.Equal((250_000_000L, 7L), (record.Money.Cap, record.Tokens.Cap));
    }

    [Fact]
    public async Task A_fork_whose_model_has_no_price_under_a_cap_of_money_is_refused()
    {
        var parent = await _rig.PutAsync(TestJournal.Begin(new AgentManifest { Name = "agent", Loop = new LoopSettings("mock/x", "Answer.", []) }));

        Assert.Equal(ErrorCodes.ModelUnpriced, Assert.IsType<CreateRunOutcome.Refused>(await Operations.ForkAsync(parent, Plain with { Limits = new RunOverrides(Usd: "1") }, null, default)).Failure.Code);
    }

    [Fact]
    public async Task No_run_has_no_fork() =>
        Assert.Equal(ErrorCodes.RunNotFound, Assert.IsType<CreateRunOutcome.Refused>(await Operations.ForkAsync(OperationsRig.Unknown, Plain, null, default)).Failure.Code);
}
