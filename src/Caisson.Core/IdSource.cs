using System.Security.Cryptography;

namespace Caisson.Core;

/// <summary>Where ids come from, so that tests can foresee them.</summary>
public interface IIdSource
{
    /// <summary>Sorts by time.</summary>
    Guid NextRun();

    Guid NextRandom();
}

public sealed class SystemIds(TimeProvider clock) : IIdSource
{
    public Guid NextRun()
    {
        // RFC 9562 version 7, built here because the framework's own takes the time from the system clock.
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        var ms = clock.GetUtcNow().ToUnixTimeMilliseconds();
        for (var i = 5; i >= 0; i--, ms >>= 8)
            bytes[i] = (byte)ms;
        bytes[6] = (byte)(0x70 | (bytes[6] & 0x0f));
        bytes[8] = (byte)(0x80 | (bytes[8] & 0x3f));
        return new Guid(bytes, bigEndian: true);
    }

    public Guid NextRandom()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return new Guid(bytes);
    }
}
