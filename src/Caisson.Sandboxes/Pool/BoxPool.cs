using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Images;

namespace Caisson.Sandboxes.Pool;

/// <summary>What boxes must have in common for one to stand in for another before it is given to a run.</summary>
/// <param name="AtStart">Limits that this kind cannot change later.</param>
internal sealed record PoolKey(IBoxKind Kind, string Image, long DiskBytes, string AtStart)
{
    public static PoolKey Of(IBoxKind kind, BoxImage image, SandboxSpec spec) => new(kind, image.Digest, spec.Limits.DiskBytes,
        kind.FixesLimits ? FormattableString.Invariant($"{spec.Limits.MemoryBytes} {spec.Limits.Cpu} {spec.Limits.Pids}") : "");
}

/// <summary>
/// Boxes that stand ready, frozen, before anybody asks. Each is given away once and never comes back.
/// <para>
/// Of what was asked for lately it keeps <c>size</c> each. One task refills, one box at a time, and only while nobody
/// waits for a start: a box for later must not delay one for now. A box that is lost meanwhile is found at its turn.
/// </para>
/// </summary>
internal sealed class BoxPool : IAsyncDisposable
{
    private const int MostKeys = 4;

    private readonly int _size;
    private readonly Func<bool> _isBusy;
    private readonly Func<PoolKey, SandboxSpec, CancellationToken, Task<Box?>> _start;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _lock = new();
    private readonly List<Shelf> _shelves = [];
    private readonly Task _refilling;

    /// <param name="isBusy">Whether somebody waits for a start.</param>
    /// <param name="start">Starts one and freezes it; <c>null</c> where that failed or there is no room.</param>
    public BoxPool(int size, Func<bool> isBusy, Func<PoolKey, SandboxSpec, CancellationToken, Task<Box?>> start, TimeProvider time)
    {
        (_size, _isBusy, _start, _time) = (size, isBusy, start, time);
        _refilling = size == 0 ? Task.CompletedTask : Task.Run(RefillAsync);
    }

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(10);

    public IReadOnlyList<(PoolKey Key, int Ready)> Shelves
    {
        get
        {
            lock (_lock)
                return [.. _shelves.Select(s => (s.Key, s.Boxes.Count))];
        }
    }

    public bool Holds(Box box)
    {
        lock (_lock)
            return _shelves.Any(s => s.Boxes.Contains(box));
    }

    /// <summary>A box that stands ready, or <c>null</c>. Either way more of its sort are wanted from now on.</summary>
    public Box? Take(PoolKey key, SandboxSpec spec)
    {
        if (_size == 0)
            return null;
        Box? taken = null;
        lock (_lock)
        {
            var shelf = _shelves.Find(s => s.Key == key);
            if (shelf is not null)
                _shelves.Remove(shelf);
            else
                shelf = new Shelf(key, Bare(spec));
            _shelves.Insert(0, shelf);
            while (taken is null && shelf.Boxes.TryDequeue(out var box))
            {
                if (box.IsLost)
                    _ = box.DestroyAsync();
                else
                    taken = box;
            }

            // What nobody asked for in a while goes.
            while (_shelves.Count > MostKeys)
            {
                foreach (var box in _shelves[^1].Boxes)
                    _ = box.DestroyAsync();
                _shelves.RemoveAt(_shelves.Count - 1);
            }
        }

        _wake.Release();
        return taken;
    }

    /// <summary>Gives up one box, of what was asked for longest ago.</summary>
    public bool TryGiveUp()
    {
        lock (_lock)
        {
            for (var i = _shelves.Count - 1; i >= 0; i--)
            {
                if (_shelves[i].Boxes.TryDequeue(out var box))
                {
                    _ = box.DestroyAsync();
                    return true;
                }
            }
        }

        return false;
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _refilling;
        _end.Dispose();
        _wake.Dispose();
    }

    private async Task RefillAsync()
    {
        try
        {
            while (true)
            {
                if (Wanted() is not { } shelf)
                {
                    await _wake.WaitAsync(_end.Token);
                    continue;
                }

                if (_isBusy())
                {
                    await Task.Delay(Pause, _time, _end.Token);
                    continue;
                }

                if (await _start(shelf.Key, shelf.Spec, _end.Token) is not { } box)
                {
                    await Task.Delay(AfterFailure, _time, _end.Token);
                    continue;
                }

                lock (_lock)
                {
                    if (_shelves.Contains(shelf))
                    {
                        shelf.Boxes.Enqueue(box);
                        continue;
                    }
                }

                await box.DestroyAsync();
            }
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
        }
    }

    private Shelf? Wanted()
    {
        lock (_lock)
            return _shelves.Find(s => s.Boxes.Count < _size);
    }

    /// <summary>The sort of box, without anything of the run that asked first.</summary>
    private static SandboxSpec Bare(SandboxSpec spec) => new(default, 0, spec.Limits, null);

    private sealed record Shelf(PoolKey Key, SandboxSpec Spec)
    {
        public Queue<Box> Boxes { get; } = new();
    }
}
