using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Caisson.Core.Journal;

/// <summary>SHA-256 over length-prefixed fields, so that no two lists of fields run together.</summary>
public static class StepHash
{
    public static string Of(params ReadOnlySpan<string> fields)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var field in fields)
            Add(hash, Encoding.UTF8.GetBytes(field));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The next link of a chain: costs only what is new.</summary>
    public static string Chain(string head, ReadOnlySpan<byte> next)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add(hash, Encoding.UTF8.GetBytes(head));
        Add(hash, next);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void Add(IncrementalHash hash, ReadOnlySpan<byte> field)
    {
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, field.Length);
        hash.AppendData(length);
        hash.AppendData(field);
    }
}
