using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Bench.Host;

/// <summary>
/// No boxes at all: the ways out of one are ports of this process's loopback, and its program is code of this process. So
/// what is measured between the program and its model is the gateway alone.
/// </summary>
/// <param name="program">Gets the port of the gateway.</param>
internal sealed class OpenBoxes(Func<int, Task> program) : ISandboxProvider
{
    public string Name => "open";

    public IsolationTier Tier => IsolationTier.Hardware;

    public Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken) => Task.FromResult(new SandboxProbe(true, "here", null));

    public Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken) =>
        Task.FromResult<SandboxCreateOutcome>(new SandboxCreateOutcome.Started(new Box(spec.Forwards.Single(f => f.Name == "gateway").Service, program)));

    public Task<SandboxCreateOutcome> RestoreAsync(SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

    public SandboxCheckpoint? FindCheckpoint(RunId run) => null;

    public void Discard(SandboxCheckpoint checkpoint) => throw new InvalidOperationException("no checkpoints here");

    public Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<SandboxResidue>>([]);

    public Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken) => Task.FromResult(residue);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Box : ISandbox, IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly CancellationTokenSource _end = new();
        private readonly Func<int, Task> _program;
        private readonly Task _serving;

        internal Box(IBoxService gateway, Func<int, Task> program)
        {
            _program = program;
            _listener.Start(2_000);
            _serving = AcceptAsync(gateway);
        }

        public string Id => "open";

        public async Task<ExecOutcome> ExecAsync(ExecRequest request, CancellationToken cancellationToken)
        {
            await _program(((IPEndPoint)_listener.LocalEndpoint).Port);
            var nothing = new BoundedOutput(default, default, 0);
            return new ExecOutcome.Exited(0, nothing, nothing, TimeSpan.Zero);
        }

        public Task<WorkspaceSaveOutcome> SaveWorkspaceAsync(CancellationToken cancellationToken) => Task.FromResult<WorkspaceSaveOutcome>(new WorkspaceSaveOutcome.Saved(new WorkspaceRoot("root")));

        public async Task DestroyAsync()
        {
            await _end.CancelAsync();
            _listener.Stop();
            await _serving;
        }

        public void Dispose()
        {
            _listener.Dispose();
            _end.Dispose();
        }

        public Task FreezeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task ThawAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task<SandboxStats> StatsAsync(CancellationToken cancellationToken) => Task.FromResult(new SandboxStats(0, TimeSpan.Zero, 0));

        public Task<Failure?> RestoreWorkspaceAsync(WorkspaceRoot? root, CancellationToken cancellationToken) => Task.FromResult<Failure?>(null);

        public Task<TerminalOutcome> OpenTerminalAsync(TerminalRequest request, CancellationToken cancellationToken) => throw new InvalidOperationException("no terminals here");

        public Task<FileReadOutcome> ReadFileAsync(string path, int maxBytes, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task<FileWriteOutcome> WriteFileAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task<FileListOutcome> ListFilesAsync(string path, int maxEntries, CancellationToken cancellationToken) => throw new InvalidOperationException("no files here");

        public Task<CheckpointOutcome> CheckpointAsync(CheckpointMark mark, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

        public Task<ExecOutcome> ResumeExecAsync(uint command, ExecRequest request, CancellationToken cancellationToken) => throw new InvalidOperationException("no checkpoints here");

        public IAsyncDisposable Visit() => throw new InvalidOperationException("no visits here");

        private async Task AcceptAsync(IBoxService gateway)
        {
            try
            {
                while (true)
                {
                    var client = await _listener.AcceptTcpClientAsync(_end.Token);
                    client.NoDelay = true;
                    _ = Task.Run(async () =>
                    {
                        using (client)
                            await gateway.ServeAsync(client.GetStream(), _end.Token);
                    });
                }
            }
            catch (OperationCanceledException)
            {
                // The box is over.
            }
        }
    }
}
