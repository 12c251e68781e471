using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>What every store must do. A store supplies the one factory method.</summary>
public abstract partial class RunStoreConformance : IAsyncLifetime
{
    private IStoreHost _host = null!;
    private NodeId _node;

    protected abstract Task<IStoreHost> OpenAsync(TimeProvider clock);

    private FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    private SystemIds Ids { get; } = new SystemIds(TimeProvider.System);

    private IRunStore Store => _host.Store;

    private IRunReader Reader => _host.Reader;

    public async ValueTask InitializeAsync()
    {
        _host = await OpenAsync(Clock);
        _node = await RegisterAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private async Task<NodeId> RegisterAsync(string boot = "boot")
    {
        var node = new NodeId(Ids.NextRandom());
        await _host.Nodes.RegisterAsync(new NodeRegistration(node, "host", boot, 1, 2), default);
        return node;
    }

    private NewRun NewRun(string? key = null, string hash = "hash", string agent = "agent", long? usd = null, long? tokens = null) => new(
        new RunId(Ids.NextRun()), agent, key, hash, Clock.GetUtcNow(), Entry(EntryKind.RunCreated, """{"input":"x"}"""),
        new RunSummary { Labels = new Dictionary<string, string> { ["team"] = "a" }, Artifacts = ["report.md"] }, usd, tokens);

    private async Task<RunId> CreateAsync(long? usd = null, long? tokens = null, string agent = "agent")
    {
        var run = NewRun(usd: usd, tokens: tokens, agent: agent);
        Assert.IsType<CreateOutcome.Created>(await Store.CreateAsync(run, default));
        return run.Id;
    }

    private async Task<RunRecord> CreateAndClaimAsync(NewRun run)
    {
        Assert.IsType<CreateOutcome.Created>(await Store.CreateAsync(run, default));
        return await ClaimAsync(run.Id);
    }

    /// <summary>A child as its parent's unit brings it.</summary>
    private NewRun ChildOf(RunRecord parent, long? usd = null) => NewRun(usd: usd) with { Parent = parent.Id, Tenant = parent.Tenant, Depth = parent.Depth + 1 };

    private async Task<RunRecord> SpawnAndClaimAsync(RunRecord parent, long? usd = null)
    {
        var child = ChildOf(parent, usd);
        await AppendAsync(Unit(await FindAsync(parent.Id), Entry(EntryKind.ChildSpawned, "{}")) with { Children = [child] });
        return await ClaimAsync(child.Id);
    }

    private async Task<RunRecord> ClaimAsync(RunId run, NodeId? node = null) =>
        Assert.IsType<ClaimOutcome.Claimed>(await Store.ClaimAsync(run, node ?? _node, default)).Run;

    private async Task<RunRecord> CreateAndClaimAsync(long? usd = null, long? tokens = null) => await ClaimAsync(await CreateAsync(usd, tokens));

    private async Task<RunRecord> FindAsync(RunId run) => await Reader.FindAsync(run, default) ?? throw new Xunit.Sdk.XunitException($"run {run} is gone");

    private Task<IReadOnlyList<JournalEntry>> JournalAsync(RunId run) => Reader.ReadJournalAsync(run, 0, 10_000, default);

    private Task<IReadOnlyList<WasteRow>> WasteAsync(RunId run) => _host.Budgets.ReadWasteAsync(run, 1_000, default);

    private static JournalDraft Entry(EntryKind kind, string body, string? key = null, string? payload = null) =>
        new(kind, Encoding.UTF8.GetBytes(body), Key: key, Attempt: key is null ? 0 : 1, Payload: payload is null ? null : Encoding.UTF8.GetBytes(payload));

    private static JournalDraft Step(string key, string payload = "{}") => Entry(EntryKind.StepCompleted, """{"step":1}""", key, payload);

    /// <summary>The next unit of an owner that goes on.</summary>
    private ChangeSet Unit(RunRecord run, params JournalDraft[] entries) => new(
        run.Id, new Fence(run.Owner!.Value, run.Epoch), Ids.NextRandom(), run.LastSeq + 1, Clock.GetUtcNow(), entries,
        new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, Clock.GetUtcNow(), Release: false, run.Summary with { Steps = run.Summary.Steps + entries.Length }), [], []);

    private static RunRow Halted(RunRecord run, RunStatus status, PauseCause paused = PauseCause.None, DateTimeOffset? due = null) =>
        new(status, WaitReason.None, paused, due, Release: true, run.Summary);

    private async Task<RunRecord> AppendAsync(ChangeSet unit)
    {
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));
        return await FindAsync(unit.Run);
    }

    private async Task<RunRecord> EndAsync(RunRecord run) =>
        await AppendAsync(Unit(run, Entry(EntryKind.RunEnded, "{}")) with { State = Halted(run, RunStatus.Completed) });

    private async Task<RunRecord> PauseAsync(RunRecord run) =>
        await AppendAsync(Unit(run, Entry(EntryKind.Paused, "{}")) with { State = Halted(run, RunStatus.Paused, PauseCause.Operator) });

    private Task<PostOutcome> PostAsync(RunId run, string id, InputKind kind = InputKind.Pause) =>
        Store.PostAsync(new NewInput(run, id, kind, Encoding.UTF8.GetBytes($$"""{"by":"{{id}}"}""")), default);

    private async Task<bool> IsClaimableAsync(RunId run) => (await Reader.FindClaimableAsync(_node, 1_000, default)).Contains(run);

    /// <summary>Everything that a store shows of a run, as text that can be compared.</summary>
    private async Task<string> EverythingAsync(RunId run) => JsonSerializer.Serialize(new
    {
        Row = await Reader.FindAsync(run, default),
        Journal = await JournalAsync(run),
        Inbox = await Reader.ReadInboxAsync(run, 1_000, default),
        Budget = await _host.Budgets.ReadBudgetAsync($"run:{run}", default),
        Waste = await WasteAsync(run),
        Claimable = await IsClaimableAsync(run),
    });
}
