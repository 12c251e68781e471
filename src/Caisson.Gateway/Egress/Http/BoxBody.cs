using System.Globalization;
using System.Net;

namespace Caisson.Gateway.Egress.Http;

/// <summary>The body does not follow its own framing.</summary>
internal sealed class MalformedBodyException(string problem) : IOException(problem);

/// <summary>The body of a request, taken out of its framing; the outside gets a framing of its own.</summary>
/// <param name="length"><c>null</c> for chunks.</param>
internal sealed class BoxBody(BoxReader reader, long? length, Func<CancellationToken, Task>? invite) : HttpContent
{
    private const int LongestSize = 8;
    private long _left = length ?? 0;
    private bool _chunkOpen;

    /// <summary>Whether the whole body was read: only then can another request follow it.</summary>
    internal bool IsDone { get; private set; } = length is 0;

    internal Exception? Failure { get; private set; }

    /// <summary>0 at the body's end.</summary>
    internal async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancellationToken)
    {
        if (IsDone)
            return 0;
        if (length is null && _left == 0)
        {
            await NextChunkAsync(cancellationToken);
            if (IsDone)
                return 0;
        }

        var read = await reader.ReadAsync(into[..(int)Math.Min(into.Length, _left)], cancellationToken);
        if (read == 0)
            throw new MalformedBodyException("it ended in the middle of its body");
        _left -= read;
        IsDone = length is not null && _left == 0;
        return read;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        try
        {
            if (invite is not null)
                await invite(cancellationToken);
            var buffer = new byte[16 << 10];
            while (await ReadAsync(buffer, cancellationToken) is > 0 and var read)
            {
                await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                await stream.FlushAsync(cancellationToken);
            }
        }
        catch (Exception problem) when (problem is IOException or OperationCanceledException)
        {
            Failure = problem;
            throw;
        }
    }

    protected override bool TryComputeLength(out long known)
    {
        known = length ?? 0;
        return length is not null;
    }

    private async Task NextChunkAsync(CancellationToken cancellationToken)
    {
        if (_chunkOpen && await reader.ReadLineAsync(0, cancellationToken) is not "")
            throw new MalformedBodyException("a chunk is longer than it says");
        var line = await reader.ReadLineAsync(LongestSize, cancellationToken);
        if (line is not { Length: > 0 } || !line.All(char.IsAsciiHexDigit))
            throw new MalformedBodyException("the size of a chunk is not a number");
        _left = long.Parse(line, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        _chunkOpen = true;
        if (_left > 0)
            return;
        if (await reader.ReadLineAsync(0, cancellationToken) is not "")
            throw new MalformedBodyException("something stands behind its last chunk");
        IsDone = true;
    }
}
