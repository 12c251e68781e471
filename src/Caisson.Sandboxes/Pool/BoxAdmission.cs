using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.Pool;

/// <summary>
/// Whether the host has room for one more box; who comes when it has not waits in line.
/// <para>
/// A box's limit says nothing about what it uses: five hundred of half a GiB stand idle in eight. So what counts is the
/// host's free memory, less what the boxes that are being started are going to take, and their number, which the
/// kernel's process numbers bound. What a box takes later its own cgroup bounds.
/// </para>
/// <para>
/// Invariants: first come, first served; who may enter is in the registry before the next one is looked at. A box that
/// leaves, and the clock, move the line.
/// </para>
/// </summary>
internal sealed class BoxAdmission : IDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);

    private readonly BoxRegistry _registry;
    private readonly int _mostBoxes;
    private readonly long _reserveBytes;
    private readonly Func<long> _availableBytes;
    private readonly Func<bool> _makeRoom;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private readonly LinkedList<Waiter> _line = new();

    /// <param name="makeRoom">Gives up a box that nobody uses; <c>false</c> where there is none.</param>
    public BoxAdmission(BoxRegistry registry, int mostBoxes, long reserveBytes, Func<long> availableBytes, Func<bool> makeRoom, TimeProvider time)
    {
        (_registry, _mostBoxes, _reserveBytes, _availableBytes, _makeRoom) = (registry, mostBoxes, reserveBytes, availableBytes, makeRoom);
        _timer = time.CreateTimer(_ => Move(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        registry.Left += Move;
    }

    public int Waiting
    {
        get
        {
            lock (_lock)
                return _line.Count;
        }
    }

    /// <summary>Answers once the box is in the registry.</summary>
    /// <param name="bytes">What a box of the kind takes until it stands idle.</param>
    /// <param name="queued">Told, in words, why it waits; not called where there is room.</param>
    public async Task EnterAsync(string id, string kind, long bytes, Func<string, Task>? queued, CancellationToken cancellationToken)
    {
        Waiter waiter;
        string reason;
        lock (_lock)
        {
            if (_line.Count == 0 && Shortage_NeedsLock(bytes) is not { } shortage)
            {
                _registry.Expect(id, kind, bytes);
                return;
            }

            waiter = new Waiter(id, kind, bytes);
            _line.AddLast(waiter);
            reason = $"{Shortage_NeedsLock(bytes) ?? "others came first"}; {_line.Count - 1} before it in line";
            _timer.Change(Look, Look);
        }

        // A box that stands ready for nobody makes room at its end, which moves the line.
        _makeRoom();
        try
        {
            if (queued is not null)
                await queued(reason);
            await waiter.Entered.Task.WaitAsync(cancellationToken);
        }
        catch
        {
            bool entered;
            lock (_lock)
                entered = !_line.Remove(waiter);
            // It was let in just when its caller gave up.
            if (entered)
                _registry.Forget(id);
            throw;
        }
    }

    /// <summary>Whether a box that nobody waits for may be started: only where there is room to spare.</summary>
    public bool TryEnterIdle(string id, string kind, long bytes)
    {
        lock (_lock)
        {
            if (_line.Count > 0 || Shortage_NeedsLock(bytes) is not null)
                return false;
            _registry.Expect(id, kind, bytes);
            return true;
        }
    }

    public void Dispose()
    {
        _registry.Left -= Move;
        _timer.Dispose();
    }

    private void Move()
    {
        lock (_lock)
        {
            while (_line.First is { } first && Shortage_NeedsLock(first.Value.Bytes) is null)
            {
                _line.RemoveFirst();
                _registry.Expect(first.Value.Id, first.Value.Kind, first.Value.Bytes);
                first.Value.Entered.TrySetResult();
            }

            if (_line.Count == 0)
                _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    private string? Shortage_NeedsLock(long bytes)
    {
        if (_registry.Count >= _mostBoxes)
            return $"{_registry.Count} of at most {_mostBoxes} boxes stand";
        var starting = _registry.Starting;
        var free = _availableBytes() - _registry.StartingBytes;
        return free < _reserveBytes + bytes
            ? $"{Mebibytes(Math.Max(free, 0))} MiB of memory are free beside {starting} starting boxes; a box needs {Mebibytes(bytes)} beside the reserve of {Mebibytes(_reserveBytes)}"
            : null;
    }

    private static long Mebibytes(long bytes) => bytes >> 20;

    private sealed record Waiter(string Id, string Kind, long Bytes)
    {
        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
