using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>A run is cancelled while the box of its dead owner is not confirmed gone.</summary>
public sealed class UnconfirmedTests : EngineTestBase
{
    [Fact]
    public async Task A_cancel_whose_box_is_not_confirmed_gone_says_so_until_a_later_server_has_seen_to_it()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "b", gate));
        var run = await server.CreateAsync(Manifest);
        var other = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();

        var next = await StartAsync(Steps(2, "b", gate), sandboxes: [new Residue(run)]);
        await next.Runs.CancelAsync(run, "me", null, default);
        await next.Runs.CancelAsync(other, "me", "no more", default);

        var ended = await next.UntilAsync(run, RunStatus.Cancelled);
        Assert.True(ended.Summary.Unconfirmed);
        Assert.True(JournalJson.Read<EntryBody.RunEnded>((await next.JournalAsync(run))[^1].Body).Unconfirmed);
        Assert.Equal((false, "no more"), (await next.UntilAsync(other, RunStatus.Cancelled)).Summary is var s ? (s.Unconfirmed, s.Detail) : default);
        await next.StopHardAsync();

        // Things whose run nobody can tell might be this one's.
        var unsure = await StartAsync(sandboxes: [new Residue([null])]);
        Assert.True((await unsure.Store.FindAsync(run, default))!.Summary.Unconfirmed);
        await unsure.StopHardAsync();

        var last = await StartAsync(sandboxes: [new Residue()]);
        var closed = await last.Store.FindAsync(run, default);
        Assert.Equal((RunStatus.Cancelled, false, UnconfirmedEnds.Later), (closed!.Status, closed.Summary.Unconfirmed, closed.Summary.Detail));
    }

    /// <summary>Boxes that stand on this host and cannot be removed.</summary>
    private sealed class Residue(params IReadOnlyList<RunId?> runs) : ISandboxProvider
    {
        public string Name => "stubborn";

        public IsolationTier Tier => IsolationTier.Kernel;

        public Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken) => Task.FromResult(new SandboxProbe(false, "none", null));

        public Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken) => throw new InvalidOperationException("no box is needed here");

        public Task<SandboxCreateOutcome> RestoreAsync(SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

        public SandboxCheckpoint? FindCheckpoint(RunId run) => null;

        public void Discard(SandboxCheckpoint checkpoint) => throw new InvalidOperationException("no checkpoints here");

        public Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<SandboxResidue>>([.. runs.Select((run, i) => new SandboxResidue("cgroup", $"box-{i}") { Run = run })]);

        public Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken) => Task.FromResult(residue);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
