using System.Buffers.Binary;
using Caisson.Sandboxes.Protocol;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>Types of frames on a machine's port; the other half of guest/bridge.h, which says what each means.</summary>
internal enum MuxType : byte
{
    Open = 1,
    Data = 2,
    Credit = 3,
    End = 4,
    Gone = 5,
}

internal readonly record struct MuxFrame(uint Channel, MuxType Type, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Of a frame of type <see cref="MuxType.Credit"/>.</summary>
    public uint Credit => BinaryPrimitives.ReadUInt32LittleEndian(Payload.Span);

    /// <summary>Of a frame of type <see cref="MuxType.Open"/>.</summary>
    public int Door => Payload.Span[0];
}

/// <summary>Frames on a machine's port. What the guest sends is hostile: its length is checked against its type first.</summary>
internal static class MuxFrames
{
    public const int Header = 8, MaxPayload = 32768, Window = 65536, MaxChannels = 512, Doors = 3;

    public static byte[] Write(uint channel, MuxType type, ReadOnlySpan<byte> payload)
    {
        var frame = new byte[Header + payload.Length];
        WriteHead(frame, channel, type, payload.Length);
        payload.CopyTo(frame.AsSpan(Header));
        return frame;
    }

    public static void WriteHead(Span<byte> frame, uint channel, MuxType type, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(frame, channel);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[4..], (ushort)length);
        frame[6] = (byte)type;
        frame[7] = 0;
    }

    /// <summary>
    /// The next frame; <c>null</c> at the end of the stream, also in the middle of a frame. The payload lies in the
    /// buffer, which has room for one frame, and is valid until the next call.
    /// </summary>
    /// <exception cref="GuestProtocolException">What came is no frame that a guest may send.</exception>
    public static async ValueTask<MuxFrame?> ReadAsync(Stream stream, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (await stream.ReadAtLeastAsync(buffer[..Header], Header, throwOnEndOfStream: false, cancellationToken) < Header)
            return null;
        var (channel, type, length) = Head(buffer.Span);
        var payload = buffer.Slice(Header, length);
        if (await stream.ReadAtLeastAsync(payload, length, throwOnEndOfStream: false, cancellationToken) < length)
            return null;
        if (type == MuxType.Open && payload.Span[0] >= Doors)
            throw new GuestProtocolException($"a channel to door {payload.Span[0]}");
        return new MuxFrame(channel, type, payload);
    }

    private static (uint Channel, MuxType Type, int Length) Head(ReadOnlySpan<byte> head)
    {
        var type = (MuxType)head[6];
        var length = BinaryPrimitives.ReadUInt16LittleEndian(head[4..]);
        var valid = head[7] == 0 && type switch
        {
            MuxType.Open => length == 1,
            MuxType.Data => length is > 0 and <= MaxPayload,
            MuxType.Credit => length == 4,
            MuxType.End or MuxType.Gone => length == 0,
            _ => false,
        };
        return valid
            ? (BinaryPrimitives.ReadUInt32LittleEndian(head), type, length)
            : throw new GuestProtocolException($"frame of type {head[6]} and length {length} on the machine's port");
    }
}
