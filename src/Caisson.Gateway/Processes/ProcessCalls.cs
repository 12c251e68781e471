using Caisson.Core.Egress;
using Caisson.Core.Processes;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Processes;

/// <summary>
/// The calls of one ownership of a run.
/// <para>
/// Problem: a program may die while its call is under way upstream, and begin again before the answer came. States of a
/// call: under way, read by a client → under way, left by its client → recorded. Invariants: what is under way is paid
/// for, so it is read to its end and recorded whoever is gone; a request that equals a call under way which nobody reads
/// joins it instead of being sent again. When this process dies, the calls under way die with it, and their holds are
/// spent in doubt by the next owner.
/// </para>
/// </summary>
internal sealed class ProcessCalls(IProcessRun run, BoxListener listener) : IProcessCalls
{
    private const int MostDenials = 3;

    private readonly Lock _lock = new();
    private readonly List<LiveCall> _live = [];
    private readonly HashSet<Task> _underWay = [];
    private int _denied;

    public IProcessRun Run => run;

    /// <summary>What this run's answers hold, for clients that only name it.</summary>
    public RecordedItems Items { get; } = new(() => run.Recorded);

    public required Mcp.McpServers Mcp { get; init; }

    public IBoxDoors Open(IProcessSteps steps) => new ProcessStart(this, steps, listener);

    /// <summary>One more call that a limit denied.</summary>
    /// <returns>Whether the program was told often enough: one that goes on asking has to be ended.</returns>
    public bool Denied() => Interlocked.Increment(ref _denied) >= MostDenials;

    /// <summary>A call came to its end: the denials before it are no row any more.</summary>
    public void Admitted() => Volatile.Write(ref _denied, 0);

    /// <summary>A call of this identity that is under way and that nobody reads any more, joined.</summary>
    public LiveCall.Reader? JoinLeft(string wire, string identity)
    {
        lock (_lock)
            return _live.FirstOrDefault(c => c.Wire == wire && c.Identity == identity && !c.IsRead)?.Join();
    }

    /// <summary>Begins a call that goes on whatever becomes of its client, and joins it.</summary>
    /// <param name="pool">Of the start that asks: it may ask again for what it did not get.</param>
    public LiveCall.Reader Begin(string wire, string identity, ReplayPool pool, Func<LiveCall, Task> buy)
    {
        var live = new LiveCall(wire, identity, key => pool.Add(run.Recorded.First(r => r.Key == key)));
        var reader = live.Join();
        lock (_lock)
        {
            _live.Add(live);
            var task = Task.Run(() => BuyAsync(live, buy));
            _underWay.Add(task);
            _ = task.ContinueWith(done =>
            {
                lock (_lock)
                    _underWay.Remove(done);
            }, TaskScheduler.Default);
        }

        return reader;
    }

    private async Task BuyAsync(LiveCall live, Func<LiveCall, Task> buy)
    {
        try
        {
            await buy(live);
        }
        catch (OperationCanceledException)
        {
            // The ownership is over, or the run halts: nobody is answered any more.
        }
        finally
        {
            live.End(new LiveEnd.Broken());
            lock (_lock)
                _live.Remove(live);
        }
    }

    public async Task SettledAsync()
    {
        while (true)
        {
            Task[] open;
            lock (_lock)
                open = [.. _underWay];
            if (open.Length == 0)
                return;
            await Task.WhenAll(open);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await SettledAsync();
        await Mcp.DisposeAsync();
    }
}
