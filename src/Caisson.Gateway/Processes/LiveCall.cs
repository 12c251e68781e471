using Caisson.Core.Journal;

namespace Caisson.Gateway.Processes;

/// <summary>
/// An answer on its way: written by the one who reads the upstream, read by whoever asked, from its beginning, as far as
/// it has come. What makes it whole is held back until it is recorded: a client that acts on a whole answer must find it again.
/// </summary>
/// <param name="unheard">Called where it is recorded and no client has got it whole: whoever asks again is answered by the record.</param>
internal sealed class LiveCall(string wire, string identity, Action<StepKey> unheard)
{
    private readonly Lock _lock = new();
    private readonly List<ReadOnlyMemory<byte>> _pieces = [];
    private TaskCompletionSource _changed = New();
    private (int Status, string? ContentType)? _head;
    private int _free;
    private bool _isHeld;
    private int _readers;
    private bool _recorded;
    private bool _isHeard;
    private LiveEnd? _end;

    public string Wire => wire;

    public string Identity => identity;

    public IReadOnlyList<ReadOnlyMemory<byte>> Pieces
    {
        get
        {
            lock (_lock)
                return [.. _pieces];
        }
    }

    /// <summary>Whether somebody waits for it: an equal request is another call then.</summary>
    public bool IsRead
    {
        get
        {
            lock (_lock)
                return _readers > 0;
        }
    }

    /// <summary>Whether a client may have seen some of it: then it cannot be asked for anew without anybody's notice.</summary>
    public bool IsShown
    {
        get
        {
            lock (_lock)
                return _free > 0;
        }
    }

    public void Begin(int status, string? contentType) => Change(() => _head = (status, contentType));

    /// <param name="mayBeWhole">With this piece the answer may have come to its end: it waits for the record, and what follows too.</param>
    public void Add(ReadOnlyMemory<byte> piece, bool mayBeWhole) => Change(() =>
    {
        _pieces.Add(piece);
        _isHeld |= mayBeWhole;
        _free = _isHeld ? _free : _pieces.Count;
    });

    /// <summary>Before another attempt, while nobody has seen anything of this one.</summary>
    public void Forget() => Change(() =>
    {
        _pieces.Clear();
        (_head, _free, _isHeld) = (null, 0, false);
    });

    /// <summary>It is over; what is recorded may be read to its end.</summary>
    public void End(LiveEnd end)
    {
        Change(() =>
        {
            _end ??= end;
            _recorded = _end is LiveEnd.Recorded;
        });
        GiveUp();
    }

    /// <summary>Once, when nobody is left who could still get it.</summary>
    private void GiveUp()
    {
        StepKey key;
        lock (_lock)
        {
            if (_readers > 0 || _isHeard || _end is not LiveEnd.Recorded recorded)
                return;
            (_isHeard, key) = (true, recorded.Key);
        }

        unheard(key);
    }

    /// <summary>Takes part in it. Disposing of the answer leaves it.</summary>
    public Reader Join()
    {
        lock (_lock)
            _readers++;
        return new Reader(this);
    }

    private void Change(Action change)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            change();
            (changed, _changed) = (_changed, New());
        }

        changed.SetResult();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal sealed class Reader(LiveCall call) : IDisposable
    {
        private int _at;

        /// <summary>What comes next: the head, a piece, or the end.</summary>
        public async Task<(LiveHead? Head, LiveEnd? End)> HeadAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                Task changed;
                lock (call._lock)
                {
                    if (call._end is { } end and not LiveEnd.Recorded)
                        return (null, end);
                    if (call._head is { } head && (call._free > 0 || call._recorded))
                        return (new LiveHead(head.Status, head.ContentType), null);
                    changed = call._changed.Task;
                }

                await changed.WaitAsync(cancellationToken);
            }
        }

        /// <returns>The next piece; <c>null</c> at the end.</returns>
        public async Task<(ReadOnlyMemory<byte>? Piece, LiveEnd? End)> NextAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                Task changed;
                lock (call._lock)
                {
                    if (_at < (call._recorded ? call._pieces.Count : call._free))
                        return (call._pieces[_at++], null);
                    if (call._end is { } end)
                        return (null, end);
                    changed = call._changed.Task;
                }

                await changed.WaitAsync(cancellationToken);
            }
        }

        /// <summary>The client has all of it.</summary>
        public void Heard()
        {
            lock (call._lock)
                call._isHeard = true;
        }

        public void Dispose()
        {
            lock (call._lock)
                call._readers--;
            call.GiveUp();
        }
    }
}

internal sealed record LiveHead(int Status, string? ContentType);

internal abstract record LiveEnd
{
    /// <summary>All of it came and stands in the journal.</summary>
    internal sealed record Recorded(StepKey Key) : LiveEnd;

    /// <summary>The provider refused: its own words go to the client, and nothing is recorded.</summary>
    internal sealed record Refused(int Status, string? ContentType, ReadOnlyMemory<byte> Body) : LiveEnd;

    /// <summary>It will not be answered: a limit that the program is told of, in its own wire's words.</summary>
    internal sealed record Denied(Wires.WireError Error) : LiveEnd;

    /// <summary>The run halts or the connection broke in the middle: the client gets no end.</summary>
    internal sealed record Broken : LiveEnd;
}
