namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// The stream of one command, over checkpoints: while the guest is detached a reader waits here, and goes on where it
/// stood when the worker has dialled again. Frames are whole on both sides of a detachment: the worker closes between two.
/// </summary>
internal sealed class CommandChannel : IDisposable
{
    private readonly GuestLink _link;
    private FrameStream _stream;
    private bool _killAsked;

    public CommandChannel(GuestLink link, FrameStream stream)
    {
        (_link, _stream) = (link, stream);
        link.Running[Ticket.Id] = this;
    }

    public StreamTicket Ticket => _stream.Ticket!;

    /// <summary>Whether the command still waits for input of ours, which a detachment could lose.</summary>
    public bool HasInput { get; set; }

    /// <summary>Whether its stream is closed and it waits for the guest to come back.</summary>
    public bool IsParked { get; private set; }

    public async ValueTask<Frame?> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (await _stream.ReadAsync(cancellationToken) is { } frame)
                return frame;
            if (!_link.IsDetached)
                return null;
            var again = _link.ExpectAsync(Ticket, cancellationToken);
            IsParked = true;
            _link.Moved();
            _stream.Dispose();
            if (await again is not { } stream)
                return null;
            (_stream, IsParked) = (stream, false);
            if (Volatile.Read(ref _killAsked))
                await KillAsync();
        }
    }

    public ValueTask<bool> WriteAsync(FrameType type, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken) => _stream.WriteAsync(type, payload, cancellationToken);

    public async Task KillAsync()
    {
        Volatile.Write(ref _killAsked, true);
        await _stream.WriteAsync(FrameType.Kill, default, CancellationToken.None);
    }

    /// <summary>Before the command's end this is an order to kill it.</summary>
    public void Dispose()
    {
        _link.Running.TryRemove(Ticket.Id, out _);
        _stream.Dispose();
        _link.Moved();
    }
}
