using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Claims do not run far ahead of what is loaded, and a crowd that comes does not make those wait that are here.</summary>
public sealed class PaceTests : EngineTestBase
{
    private const int Crowd = 3 * ClaimPace.MostOpening;

    [Fact]
    public async Task A_crowd_is_claimed_as_fast_as_it_is_loaded_and_a_live_run_hears_of_its_signal_meanwhile()
    {
        var loads = new HeldReads();
        var server = await StartAsync(async context =>
        {
            if (context.Input == "live")
                await context.WaitForSignalAsync("go");
            return "done";
        }, blobs: loads.Around);
        var live = await server.CreateAsync(Manifest, "live");
        await server.UntilAsync(live, RunStatus.Waiting);

        // Their inputs are blobs, so that the test can hold their loads.
        loads.Hold();
        var crowd = new List<RunId>();
        for (var i = 0; i < Crowd; i++)
            crowd.Add(await server.CreateAsync(Manifest, new string('x', 20_000)));
        await loads.UntilAsync(ClaimPace.MostOpening / 2 + 1);
        await server.Operations.SignalAsync(live, "go", default, null, null, default);

        await server.UntilAsync(live, RunStatus.Completed);
        var claimed = (await server.Store.ListAsync(new RunFilter([RunStatus.Running], null, null, 1_000), default)).Count;
        Assert.InRange(claimed, ClaimPace.MostOpening / 2 + 1, ClaimPace.MostOpening);
        Assert.InRange(loads.Waiting, ClaimPace.MostOpening / 2 + 1, claimed);

        loads.Release();
        foreach (var run in crowd)
            await server.UntilAsync(run, RunStatus.Completed);
    }

    /// <summary>Reads of blobs wait while they are held.</summary>
    private sealed class HeldReads
    {
        private readonly Lock _lock = new();
        private readonly List<(int Count, TaskCompletionSource Reached)> _watchers = [];
        private TaskCompletionSource? _held;

        internal int Waiting { get; private set; }

        internal void Hold() => _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        internal void Release() => _held!.SetResult();

        internal Task UntilAsync(int waiting)
        {
            var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_lock)
            {
                _watchers.Add((waiting, reached));
                Tell();
            }

            return reached.Task.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System);
        }

        internal IBlobStore Around(IBlobStore inner) => new Blobs(this, inner);

        private void Tell()
        {
            foreach (var (_, reached) in _watchers.Where(w => w.Count <= Waiting))
                reached.TrySetResult();
        }

        private async Task PassAsync(CancellationToken cancellationToken)
        {
            if (_held is not { } held)
                return;
            lock (_lock)
            {
                Waiting++;
                Tell();
            }

            await held.Task.WaitAsync(cancellationToken);
        }

        private sealed class Blobs(HeldReads reads, IBlobStore inner) : IBlobStore
        {
            public Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken) => inner.PutAsync(contents, cancellationToken);

            public string AddressOf(ReadOnlySpan<byte> content) => inner.AddressOf(content);

            public async Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken)
            {
                await reads.PassAsync(cancellationToken);
                return await inner.GetAsync(address, cancellationToken);
            }
        }
    }
}
