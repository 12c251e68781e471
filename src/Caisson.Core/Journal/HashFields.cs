using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Caisson.Core.Journal;

/// <summary>Length-prefixed fields one after another, and the SHA-256 over all of them: no two lists of fields run together.</summary>
internal ref struct HashFields
{
    private const int Prefix = sizeof(long);

    private byte[] _rented;
    private int _length;

    /// <param name="expected">Bytes that the fields will about have; more are no mistake, only a copy.</param>
    internal HashFields(int expected) => _rented = ArrayPool<byte>.Shared.Rent(expected);

    internal void Add(scoped ReadOnlySpan<byte> field)
    {
        Reserve(field.Length);
        field.CopyTo(_rented.AsSpan(_length + Prefix));
        Prefixed(field.Length);
    }

    internal void Add(string field)
    {
        Reserve(Encoding.UTF8.GetMaxByteCount(field.Length));
        Prefixed(Encoding.UTF8.GetBytes(field, _rented.AsSpan(_length + Prefix)));
    }

    internal readonly byte[] Hash() => SHA256.HashData(_rented.AsSpan(0, _length));

    internal readonly string HexHash()
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(_rented.AsSpan(0, _length), hash);
        return Convert.ToHexStringLower(hash);
    }

    private void Reserve(int field)
    {
        if (_rented.Length - _length >= field + Prefix)
            return;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(2 * _rented.Length, _length + field + Prefix));
        _rented.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_rented);
        _rented = larger;
    }

    private void Prefixed(int length)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_rented.AsSpan(_length), length);
        _length += Prefix + length;
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_rented);
        _rented = [];
    }
}
