using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Ended_runs_are_found_by_their_end_oldest_first()
    {
        var live = await CreateAndClaimAsync();
        var first = await CreateAndClaimAsync();
        var second = await EndAsync(await CreateAndClaimAsync());
        Clock.Advance(TimeSpan.FromHours(1));
        await EndAsync(first);
        Clock.Advance(TimeSpan.FromHours(1));
        var now = Clock.GetUtcNow();
        await EndAsync(await CreateAndClaimAsync());

        Assert.Equal([second.Id, first.Id], await _host.Retention.FindEndedAsync(now, 10, default));
        Assert.Equal([second.Id], await _host.Retention.FindEndedAsync(now, 1, default));
        Assert.Equal([second.Id], await _host.Retention.FindEndedAsync(now.AddHours(-1), 10, default));
        Assert.DoesNotContain(live.Id, await _host.Retention.FindEndedAsync(now.AddYears(1), 10, default));
    }

    [Fact]
    public async Task A_deleted_run_leaves_nothing_but_what_it_spent_above_itself()
    {
        var parent = await CreateAndClaimAsync(NewRun("key", usd: 100) with { Tenant = "acme" });
        var child = await SpawnAndClaimAsync(parent);
        parent = await FindAsync(parent.Id);
        await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("c", new Hold(3, 0))] });
        parent = await AppendAsync(Unit(parent) with { Budget = [new BudgetChange.Reserve("a", new Hold(10, 0)), new BudgetChange.Reserve("b", new Hold(20, 0))] });
        await PostAsync(parent.Id, "x");
        Assert.False(await _host.Retention.DeleteRunAsync(parent.Id, default));
        Assert.False(await _host.Retention.DeleteRunAsync(new RunId(Ids.NextRun()), default));
        await AppendAsync(Unit(parent, Entry(EntryKind.RunEnded, "{}")) with { State = Halted(parent, RunStatus.Failed), Budget = [new BudgetChange.Doubt("a")] });

        Assert.True(await _host.Retention.DeleteRunAsync(parent.Id, default));
        Assert.False(await _host.Retention.DeleteRunAsync(parent.Id, default));

        Assert.Null(await Reader.FindAsync(parent.Id, default));
        Assert.Empty(await JournalAsync(parent.Id));
        Assert.Empty(await Reader.ReadInboxAsync(parent.Id, 10, default));
        Assert.Empty(await WasteAsync(parent.Id));
        Assert.Empty(await _host.Budgets.ReadBudgetAsync($"run:{parent.Id}", default));
        Assert.IsType<PostOutcome.NotFound>(await PostAsync(parent.Id, "late"));

        // The hold that nobody settled does not stay held for ever, and the child goes on without its parent's node.
        Assert.Equal(new BudgetState(null, 30, 3, 30), await MoneyAsync("tenant:acme"));
        child = await AppendAsync(Unit(await FindAsync(child.Id)) with { Budget = [new BudgetChange.Settle("c", new Usage(2, 0, 0)), new BudgetChange.Count(LimitDimension.Steps, 1)] });
        Assert.Equal((parent.Id, 2L), (child.Parent!.Value, child.Money.Spent));
        Assert.Equal(new BudgetState(null, 32, 0, 30), await MoneyAsync("tenant:acme"));
        Assert.Equal([child.Id], (await Reader.ListAsync(new RunFilter(null, null, null, 10), default)).Select(r => r.Id));
        Assert.IsType<CreateOutcome.Created>(await Store.CreateAsync(NewRun("key"), default));
    }

    [Fact]
    public async Task Every_blob_and_workspace_that_anything_refers_to_is_read()
    {
        var run = await CreateAndClaimAsync(NewRun() with { More = [new JournalDraft(EntryKind.StepCompleted, """{"workspace":"forked"}"""u8.ToArray(), Blob: "blob of a fork")] });
        run = await AppendAsync(Unit(run,
            new JournalDraft(EntryKind.StepStarted, """{"workspace":"not this kind"}"""u8.ToArray()),
            new JournalDraft(EntryKind.StepCompleted, """{"step":{"workspace":"deeper","list":[{"workspace":"deepest"}]},"ms":1}"""u8.ToArray()),
            new JournalDraft(EntryKind.StepCompleted, """{"step":{"a":[1,2]},"workspace":"of a step","failure":null}"""u8.ToArray(), Blob: "blob"),
            new JournalDraft(EntryKind.WorkspaceSaved, """{"root":"saved"}"""u8.ToArray()),
            new JournalDraft(EntryKind.RunEnded, default, Blob: "large end")) with
        {
            State = Halted(run, RunStatus.Completed) with { Summary = run.Summary with { WorkspaceRoot = "of the row" } },
        });

        BlobReference[] expected = [new("blob of a fork", false), new("forked", true), new("blob", false), new("of a step", true), new("saved", true), new("large end", false), new("of the row", true)];
        Assert.Equal(expected, await ReferencesAsync());
        await _host.Retention.DeleteRunAsync(run.Id, default);
        Assert.Empty(await ReferencesAsync());
    }

    /// <summary>Of a run that kept less than all at its end only the row's workspace is referred to; results stay.</summary>
    [Theory]
    [InlineData(WorkspaceKeep.Artifacts, "kept")]
    [InlineData(WorkspaceKeep.None, null)]
    public async Task A_run_that_let_its_workspaces_go_refers_to_what_it_kept(WorkspaceKeep keep, string? root)
    {
        var other = await CreateAndClaimAsync();
        await AppendAsync(Unit(other, new JournalDraft(EntryKind.StepCompleted, """{"workspace":"of another run"}"""u8.ToArray())));
        var run = await CreateAndClaimAsync();
        run = await AppendAsync(Unit(run,
            new JournalDraft(EntryKind.StepCompleted, """{"workspace":"first"}"""u8.ToArray()),
            new JournalDraft(EntryKind.StepCompleted, """{"workspace":"second"}"""u8.ToArray(), Blob: "result"),
            new JournalDraft(EntryKind.WorkspaceSaved, """{"root":"saved"}"""u8.ToArray())));
        Assert.Equal([new("of another run", true), new("first", true), new("result", false), new("second", true), new("saved", true)], await ReferencesAsync());

        await AppendAsync(Unit(run, Entry(EntryKind.WorkspaceKept, "{}"), new JournalDraft(EntryKind.RunEnded, default, Blob: "large end")) with
        {
            State = Halted(run, RunStatus.Completed) with { Summary = run.Summary with { WorkspaceRoot = root, Kept = keep } },
        });

        Assert.Equal([new("of another run", true), new("result", false), new("large end", false), .. root is null ? Array.Empty<BlobReference>() : [new(root, true)]], await ReferencesAsync());
        var row = (await FindAsync(run.Id)).Summary;
        Assert.Equal((keep, root), (row.Kept, row.WorkspaceRoot));
    }

    [Fact]
    public async Task References_are_read_over_all_pages()
    {
        var run = await CreateAndClaimAsync();
        var addresses = Enumerable.Range(0, 2_500).Select(i => i.ToString(CultureInfo.InvariantCulture)).ToList();
        foreach (var some in addresses.Chunk(700))
            run = await AppendAsync(Unit(run, [.. some.Select(address => new JournalDraft(EntryKind.StepFailed, "{}"u8.ToArray(), Blob: address))]));

        Assert.Equal(addresses, (await ReferencesAsync()).Select(r => r.Address));
    }

    /// <summary>Whoever deletes what is not referred to must not take "unreadable" for "nothing".</summary>
    [Fact]
    public async Task A_body_that_cannot_be_read_stops_the_reading_of_references()
    {
        await AppendAsync(Unit(await CreateAndClaimAsync(), Entry(EntryKind.StepCompleted, "{\"workspace\":\"cut")));

        var problem = await Assert.ThrowsAsync<CaissonException>(ReferencesAsync);

        Assert.Equal(ErrorCodes.DatabaseCorrupt, problem.Code);
    }

    private async Task<List<BlobReference>> ReferencesAsync()
    {
        var found = new List<BlobReference>();
        await foreach (var reference in _host.Retention.ReadReferencesAsync(default))
            found.Add(reference);
        return found;
    }
}
