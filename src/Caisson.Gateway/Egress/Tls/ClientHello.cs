using System.Buffers.Binary;
using System.Text;

namespace Caisson.Gateway.Egress.Tls;

internal abstract record HelloRead
{
    internal sealed record More : HelloRead;

    internal sealed record Malformed(string Problem) : HelloRead;

    /// <param name="Name">As the client wrote it; <c>null</c> where it names none.</param>
    /// <param name="Hides">It holds another, encrypted, hello: the name in sight is not the one that counts.</param>
    internal sealed record Hello(string? Name, bool Hides) : HelloRead;
}

/// <summary>The first words of a TLS client, read only as far as the name in them. Pure, and answers for any bytes.</summary>
internal static class ClientHello
{
    private const int MaxHello = 16 << 10;
    private const ushort ServerName = 0;
    private const ushort EncryptedHello = 0xfe0d;

    internal static HelloRead Read(ReadOnlySpan<byte> bytes)
    {
        // The message may be spread over several records.
        var message = new List<byte>();
        var wanted = int.MaxValue;
        while (message.Count < wanted)
        {
            if (bytes.Length > 0 && bytes[0] != 22)
                return Bad("it does not speak TLS");
            if (bytes.Length < 5)
                return new HelloRead.More();
            var length = BinaryPrimitives.ReadUInt16BigEndian(bytes[3..]);
            if (bytes[1] != 3 || length is 0 or > MaxHello || message.Count + length > 2 * MaxHello)
                return Bad("its TLS record is malformed");
            if (bytes.Length < 5 + length)
                return new HelloRead.More();
            message.AddRange(bytes.Slice(5, length));
            bytes = bytes[(5 + length)..];
            if (message.Count < 4)
                continue;
            wanted = 4 + (message[1] << 16 | message[2] << 8 | message[3]);
            if (message[0] != 1 || wanted > MaxHello)
                return Bad("its first TLS message is no ClientHello");
        }

        if (message.Count != wanted)
            return Bad("something stands behind its ClientHello");
        return Body([.. message[4..]]);
    }

    private static HelloRead Body(ReadOnlySpan<byte> body)
    {
        // version 2, random 32, session id, cipher suites, compression methods, extensions
        if (!Skip(ref body, 34) || !Vector(ref body, 1, out _) || !Vector(ref body, 2, out _) || !Vector(ref body, 1, out _) || !Vector(ref body, 2, out var extensions) || body.Length > 0)
            return Bad("its ClientHello is malformed");
        string? name = null;
        var (named, hides) = (false, false);
        while (extensions.Length > 0)
        {
            if (extensions.Length < 4)
                return Bad("its ClientHello is malformed");
            var type = BinaryPrimitives.ReadUInt16BigEndian(extensions);
            extensions = extensions[2..];
            if (!Vector(ref extensions, 2, out var content))
                return Bad("its ClientHello is malformed");
            if (type == EncryptedHello)
                hides = true;
            if (type != ServerName)
                continue;
            if (named || !Vector(ref content, 2, out var list) || content.Length > 0 || list.Length < 1 || list[0] != 0)
                return Bad("its server name is malformed");
            list = list[1..];
            if (!Vector(ref list, 2, out var text) || list.Length > 0 || text.Length is 0 or > 255 || text.ContainsAnyExceptInRange((byte)33, (byte)126))
                return Bad("its server name is malformed");
            (name, named) = (Encoding.ASCII.GetString(text), true);
        }

        return new HelloRead.Hello(name, hides);
    }

    private static bool Skip(ref ReadOnlySpan<byte> bytes, int count)
    {
        if (bytes.Length < count)
            return false;
        bytes = bytes[count..];
        return true;
    }

    private static bool Vector(ref ReadOnlySpan<byte> bytes, int sizeOfLength, out ReadOnlySpan<byte> content)
    {
        content = default;
        if (bytes.Length < sizeOfLength)
            return false;
        var length = sizeOfLength == 1 ? bytes[0] : BinaryPrimitives.ReadUInt16BigEndian(bytes);
        if (bytes.Length < sizeOfLength + length)
            return false;
        content = bytes.Slice(sizeOfLength, length);
        bytes = bytes[(sizeOfLength + length)..];
        return true;
    }

    private static HelloRead.Malformed Bad(string problem) => new(problem);
}
