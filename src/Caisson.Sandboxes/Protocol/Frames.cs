using System.Buffers;
using System.Buffers.Binary;

namespace Caisson.Sandboxes.Protocol;

/// <summary>Types of frames; the other half of guest/guest.h, which says what each carries.</summary>
internal enum FrameType : byte
{
    Open = 1,
    KillAll = 2,
    Forward = 3,
    Detach = 4,
    Hello = 16,
    Killed = 17,
    OpenFailed = 18,
    Forwarding = 19,
    Detached = 20,
    Port = 21,
    Token = 32,
    Argument = 33,
    Environment = 34,
    Directory = 35,
    Start = 36,
    Input = 37,
    Kill = 38,
    Terminal = 39,
    Resize = 40,
    NotStarted = 48,
    Credit = 49,
    Output = 50,
    Error = 51,
    Exited = 52,
    Read = 64,
    Write = 65,
    List = 66,
    Data = 67,
    End = 68,
    Failed = 80,
    Size = 81,
    Entry = 82,
    Done = 83,
}

internal readonly record struct Frame(FrameType Type, ReadOnlyMemory<byte> Payload)
{
    public uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Payload.Span[at..]);

    public ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Payload.Span[at..]);
}

/// <summary>
/// Frames on one stream from the guest, which is hostile: the length is bounded before anything is read, and every
/// payload's length is checked against its type before anyone looks into it.
/// </summary>
internal sealed class FrameStream(Stream stream) : IDisposable
{
    public const int MaxPayload = 65536;
    public const int TokenLength = 16;
    private const int Header = 5;

    /// <summary>By what the guest may come back with this stream after a checkpoint.</summary>
    public StreamTicket? Ticket { get; init; }

    /// <summary>Takes the connection of a worker that has said its last, to see it closed.</summary>
    public Action<Stream>? Retire { get; init; }

    private readonly byte[] _in = new byte[Header + MaxPayload];
    private readonly SemaphoreSlim _writing = new(1);
    private bool _hasEnded;
    private bool _isRetired;

    /// <summary>
    /// The next frame; <c>null</c> at the end of the stream or where it breaks. The payload is valid until the next call.
    /// </summary>
    /// <exception cref="GuestProtocolException">What came is no frame.</exception>
    public async ValueTask<Frame?> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (await stream.ReadAtLeastAsync(_in.AsMemory(0, Header), Header, throwOnEndOfStream: false, cancellationToken) < Header)
                return null;
            var length = BinaryPrimitives.ReadUInt32LittleEndian(_in);
            var type = (FrameType)_in[4];
            Validate(type, length);
            var payload = _in.AsMemory(Header, (int)length);
            if (await stream.ReadAtLeastAsync(payload, payload.Length, throwOnEndOfStream: false, cancellationToken) < payload.Length)
                return null;
            _hasEnded = type is FrameType.Exited or FrameType.NotStarted or FrameType.Failed or FrameType.Done;
            return new Frame(type, payload);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return null;
        }
    }

    /// <summary>Answers whether it went out; a broken stream also shows at the next read, which is where it is handled.</summary>
    public async ValueTask<bool> WriteAsync(FrameType type, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        var frame = new byte[Header + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)payload.Length);
        frame[4] = (byte)type;
        payload.Span.CopyTo(frame.AsSpan(Header));
        return await WriteAsync(frame, cancellationToken);
    }

    /// <summary>Writes frames that <see cref="FrameBuilder"/> put together, in one go.</summary>
    public async ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> frames, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            await stream.WriteAsync(frames, cancellationToken);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return false;
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Before the last word this tells the worker to give up; after it, the worker closes first.</summary>
    public void Dispose()
    {
        if (_hasEnded && Retire is { } retire && !Interlocked.Exchange(ref _isRetired, true))
            retire(stream);
        else if (!_isRetired)
            stream.Dispose();
    }

    /// <summary>What the guest may send, and how long it may be. Everything else ends the box.</summary>
    internal static void Validate(FrameType type, uint length)
    {
        var valid = type switch
        {
            FrameType.Hello or FrameType.Killed or FrameType.Detached or FrameType.Credit or FrameType.Exited or FrameType.Failed => length == 4,
            FrameType.OpenFailed or FrameType.Forwarding or FrameType.Size => length == 8,
            FrameType.Port => length == 2,
            FrameType.Token => length == 4 + TokenLength,
            FrameType.NotStarted => length == 5,
            FrameType.Output or FrameType.Error or FrameType.Data => length is > 0 and <= MaxPayload,
            FrameType.Entry => length is > 9 and <= 9 + 255,
            FrameType.Done => length == 1,
            _ => false,
        };
        if (!valid)
            throw new GuestProtocolException($"frame of type {(byte)type} and length {length}");
    }
}

/// <summary>The number and the token of a stream.</summary>
internal sealed record StreamTicket(uint Id, byte[] Token);

/// <summary>Puts several small frames into one write.</summary>
internal sealed class FrameBuilder
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public FrameBuilder Add(FrameType type, ReadOnlySpan<byte> payload)
    {
        Span<byte> header = stackalloc byte[5];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)payload.Length);
        header[4] = (byte)type;
        _bytes.Write(header);
        _bytes.Write(payload);
        return this;
    }

    public ReadOnlyMemory<byte> Build() => _bytes.WrittenMemory;
}

/// <summary>The guest broke the protocol. Its box ends with <see cref="Contracts.ErrorCodes.SandboxProtocol"/>.</summary>
internal sealed class GuestProtocolException(string what) : Exception($"the guest broke the protocol: {what}");
