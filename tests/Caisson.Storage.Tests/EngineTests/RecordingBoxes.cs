using Caisson.Contracts;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Sandboxes;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Boxes in which nothing runs: they note what a command would find in its environment.</summary>
internal sealed class RecordingBoxes(Gate gate) : ISandboxProvider
{
    /// <summary>Key, run, epoch and attempt of each command.</summary>
    internal List<string> Seen { get; } = [];

    /// <summary>What a command does in its box; the outcome is its own where it gives one.</summary>
    internal Func<string, Task<ExecOutcome?>>? Does { get; init; }

    private int _alive;

    /// <summary>Boxes that were made and not ended yet.</summary>
    internal int Alive => Volatile.Read(ref _alive);

    public string Name => "recording";

    public IsolationTier Tier => IsolationTier.Hardware;

    public Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken) => Task.FromResult(new SandboxProbe(true, "here", null));

    public Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _alive);
        return Task.FromResult<SandboxCreateOutcome>(new SandboxCreateOutcome.Started(new Box(this)));
    }

    public Task<SandboxCreateOutcome> RestoreAsync(SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

    public SandboxCheckpoint? FindCheckpoint(RunId run) => null;

    public void Discard(SandboxCheckpoint checkpoint) => throw new InvalidOperationException("no checkpoints here");

    public Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<SandboxResidue>>([]);

    public Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken) => Task.FromResult(residue);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<ExecOutcome> ExecAsync(ExecRequest request, CancellationToken cancellationToken)
    {
        var found = request.Environment;
        lock (Seen)
            Seen.Add($"{found[StepEnvironment.IdempotencyKey]} {found[StepEnvironment.Run]} {found[StepEnvironment.Epoch]} {found[StepEnvironment.Attempt]}");
        var own = Does is null ? null : await Does(request.Command[^1]);
        await gate.PassAsync(cancellationToken);
        if (own is not null)
            return own;
        var nothing = new BoundedOutput(default, default, 0);
        return new ExecOutcome.Exited(0, nothing, nothing, TimeSpan.Zero);
    }

    private sealed class Box(RecordingBoxes boxes) : ISandbox
    {
        private bool _isGone;

        public string Id => "box";

        public Task<ExecOutcome> ExecAsync(ExecRequest request, CancellationToken cancellationToken) => boxes.ExecAsync(request, cancellationToken);

        public Task<TerminalOutcome> OpenTerminalAsync(TerminalRequest request, CancellationToken cancellationToken) => throw new InvalidOperationException("no terminals here");

        public Task<FileReadOutcome> ReadFileAsync(string path, int maxBytes, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task<FileWriteOutcome> WriteFileAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task<FileListOutcome> ListFilesAsync(string path, int maxEntries, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task FreezeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task ThawAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task<WorkspaceSaveOutcome> SaveWorkspaceAsync(CancellationToken cancellationToken) => Task.FromResult<WorkspaceSaveOutcome>(new WorkspaceSaveOutcome.Saved(new WorkspaceRoot("root")));

        public Task<Failure?> RestoreWorkspaceAsync(WorkspaceRoot? root, CancellationToken cancellationToken) => Task.FromResult<Failure?>(null);

        public Task<CheckpointOutcome> CheckpointAsync(CheckpointMark mark, CancellationToken cancellationToken) => Task.FromResult<CheckpointOutcome>(new CheckpointOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, "no checkpoints here")));

        public Task<ExecOutcome> ResumeExecAsync(uint command, ExecRequest request, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

        public IAsyncDisposable Visit() => throw new InvalidOperationException("no visits here");

        public Task<SandboxStats> StatsAsync(CancellationToken cancellationToken) => Task.FromResult(new SandboxStats(0, TimeSpan.Zero, 0));

        public Task DestroyAsync()
        {
            if (!Interlocked.Exchange(ref _isGone, true))
                Interlocked.Decrement(ref boxes._alive);
            return Task.CompletedTask;
        }
    }
}
