namespace Caisson.Gateway.Egress.Http;

internal abstract record HeadRead
{
    internal sealed record Head(ReadOnlyMemory<byte> Bytes) : HeadRead;

    /// <summary>The box has nothing more to say.</summary>
    internal sealed record End : HeadRead;

    internal sealed record TooLong : HeadRead;

    /// <summary>It ended, or stood still, in the middle.</summary>
    internal sealed record Cut : HeadRead;
}

/// <summary>What comes from the box on one connection, read with bounds of size and time.</summary>
internal sealed class BoxReader(Stream stream, TimeProvider clock)
{
    private static readonly TimeSpan HeadLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan IdleLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan BodyLimit = TimeSpan.FromSeconds(60);

    private byte[] _buffer = new byte[4 << 10];
    private int _start;
    private int _end;

    /// <summary>Read already, and not taken yet.</summary>
    internal ReadOnlyMemory<byte> Buffered => _buffer.AsMemory(_start, _end - _start);

    /// <summary>Whether anything came at all.</summary>
    internal bool HasRead { get; private set; }

    internal void Take(int count) => _start += count;

    /// <summary>The time for a head runs from its first byte: who sends one byte a minute is not waited for.</summary>
    internal async Task<HeadRead> ReadHeadAsync(CancellationToken cancellationToken)
    {
        if (Buffered.Length == 0 && !await TryFillAsync(IdleLimit, cancellationToken))
            return new HeadRead.End();
        using var limit = new CancellationTokenSource(HeadLimit, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        var looked = 0;
        while (true)
        {
            var found = Buffered.Span[looked..].IndexOf("\r\n\r\n"u8);
            if (found >= 0)
            {
                var head = Buffered[..(looked + found + 4)].ToArray();
                Take(head.Length);
                return head.Length > Grammar.MaxHead ? new HeadRead.TooLong() : new HeadRead.Head(head);
            }

            looked = Math.Max(0, Buffered.Length - 3);
            if (Buffered.Length > Grammar.MaxHead)
                return new HeadRead.TooLong();
            try
            {
                if (!await FillAsync(both.Token))
                    return new HeadRead.Cut();
            }
            catch (OperationCanceledException) when (limit.IsCancellationRequested)
            {
                return new HeadRead.Cut();
            }
        }
    }

    /// <summary>Bytes of a body; 0 at the end of the connection. A box that stands still is an error.</summary>
    internal async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancellationToken)
    {
        if (Buffered.Length == 0 && !await FillWithinAsync(cancellationToken))
            return 0;
        var count = Math.Min(into.Length, Buffered.Length);
        Buffered[..count].CopyTo(into);
        Take(count);
        return count;
    }

    /// <summary>A line without its end; <c>null</c> where it is longer than allowed or the connection ends.</summary>
    internal async ValueTask<string?> ReadLineAsync(int longest, CancellationToken cancellationToken)
    {
        while (true)
        {
            var end = Buffered.Span.IndexOf("\r\n"u8);
            if (end > longest || (end < 0 && Buffered.Length > longest + 1))
                return null;
            if (end >= 0)
            {
                var line = System.Text.Encoding.Latin1.GetString(Buffered.Span[..end]);
                Take(end + 2);
                return line;
            }

            if (!await FillWithinAsync(cancellationToken))
                return null;
        }
    }

    /// <summary>Waits for more bytes behind those that are buffered. <c>false</c> at the end of the connection.</summary>
    internal async Task<bool> FillAsync(CancellationToken cancellationToken)
    {
        if (_start == _end)
            _start = _end = 0;
        if (_end == _buffer.Length)
        {
            var next = _start > 0 ? _buffer : new byte[_buffer.Length * 2];
            Buffer.BlockCopy(_buffer, _start, next, 0, _end - _start);
            (_buffer, _end, _start) = (next, _end - _start, 0);
        }

        var read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
        _end += read;
        HasRead |= read > 0;
        return read > 0;
    }

    private async Task<bool> FillWithinAsync(CancellationToken cancellationToken) =>
        await TryFillAsync(BodyLimit, cancellationToken, strict: true);

    private async Task<bool> TryFillAsync(TimeSpan within, CancellationToken cancellationToken, bool strict = false)
    {
        using var limit = new CancellationTokenSource(within, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            return await FillAsync(both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            return strict ? throw new MalformedBodyException("it stood still in the middle of its body") : false;
        }
    }
}
