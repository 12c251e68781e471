using Caisson.Contracts;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Leases;

/// <summary>
/// Keeps this process's claim on its runs.
/// <para>
/// Problem: a process that hangs must lose its runs, and must notice that before it acts for them again. One thread of
/// its own, with its own connection to the store, raises the beat every second, but only while the thread pool and the
/// dispatcher show life: a node that cannot work must not look alive. States: live → suspect (no renewal for the time
/// to live: nothing starts, no byte leaves) → live again, or fenced (the store refused, or a minute of suspicion: end).
/// If this process dies, the beat stands still and others take over after the time to live; an embedded store knows at
/// once, since only one process can hold it open. If the store stalls, the node is suspect and waits. A process that
/// was frozen finds its lease too old on the first look, before it sends anything.
/// </para>
/// </summary>
internal sealed class NodeLease : IDisposable
{
    private readonly INodeStore _store;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private readonly CancellationTokenSource _stop = new();
    private readonly long _origin;
    private long _renewedTicks;
    private long _poolTicks;
    private long _dispatcherTicks;
    private volatile bool _refused;
    private ITimer? _poolProbe;
    private ITimer? _beat;
    private bool _ended;

    internal NodeLease(NodeId node, INodeStore store, TimeProvider clock, ILogger log)
    {
        Node = node;
        (_store, _clock, _log) = (store, clock, log);
        _origin = clock.GetTimestamp();
        _thread = new Thread(Keep) { IsBackground = true, Name = "lease" };
    }

    internal NodeId Node { get; }

    /// <summary>Called once, from the lease's thread, when the node may act no more.</summary>
    internal Action<Failure>? Fenced { get; set; }

    internal LeaseState State => new LeaseTimes(TimeSpan.FromTicks(Volatile.Read(ref _renewedTicks)), _refused).At(Now);

    internal bool MaySend => State == LeaseState.Live;

    /// <param name="ownThread">Whether a thread keeps the lease. Without one, timers of the clock do, which a simulation moves.</param>
    internal void Start(bool ownThread)
    {
        Volatile.Write(ref _renewedTicks, Now.Ticks);
        DispatcherAlive();
        PoolAlive();
        _poolProbe = _clock.CreateTimer(_ => PoolAlive(), null, TimeSpan.FromMilliseconds(500), TimeSpan.FromMilliseconds(500));
        if (ownThread)
            _thread.Start();
        else
            _beat = _clock.CreateTimer(_ => Beat(), null, LeaseTimes.Beat, LeaseTimes.Beat);
    }

    internal void DispatcherAlive() => Volatile.Write(ref _dispatcherTicks, Now.Ticks);

    private void PoolAlive() => Volatile.Write(ref _poolTicks, Now.Ticks);

    private TimeSpan Now => _clock.GetElapsedTime(_origin);

    private void Keep()
    {
        while (!_stop.Token.WaitHandle.WaitOne(LeaseTimes.Beat))
        {
            if (!Beat())
                return;
        }
    }

    /// <returns>Whether there is a lease left to keep.</returns>
    private bool Beat()
    {
        if (_ended)
            return false;
        var sent = Now;
        if (Silent(sent) is { } part)
        {
            _log.LogWarning("lease not renewed: {Part} shows no life for {Silence}", part, LeaseTimes.LongestSilence);
        }
        else
        {
            try
            {
                if (_store.Renew(Node) == RenewOutcome.Fenced)
                    _refused = true;
                else
                    Volatile.Write(ref _renewedTicks, sent.Ticks);
            }
            catch (CaissonException problem)
            {
                _log.LogWarning("lease not renewed: {Problem}", problem.Message);
            }
        }

        if (State != LeaseState.Fenced)
            return true;
        _ended = true;
        Fenced?.Invoke(new Failure(ErrorCodes.StorageFailed, _refused
            ? "another process declared this node dead: it stops, and its runs go on elsewhere"
            : "the lease could not be renewed for a minute: this node stops, and its runs go on after its restart"));
        return false;
    }

    private string? Silent(TimeSpan now) =>
        now.Ticks - Volatile.Read(ref _poolTicks) > LeaseTimes.LongestSilence.Ticks ? "the thread pool"
        : now.Ticks - Volatile.Read(ref _dispatcherTicks) > LeaseTimes.LongestSilence.Ticks ? "the dispatcher"
        : null;

    public void Dispose()
    {
        _stop.Cancel();
        if (_thread.IsAlive)
            _thread.Join();
        _poolProbe?.Dispose();
        _beat?.Dispose();
        _stop.Dispose();
    }
}
