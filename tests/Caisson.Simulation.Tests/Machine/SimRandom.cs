namespace Caisson.Simulation.Tests.Machine;

/// <summary>Chance out of one 64-bit seed (SplitMix64): the same numbers on every machine and in every version of the framework.</summary>
internal sealed class SimRandom(ulong seed)
{
    private ulong _state = seed;

    internal ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>0 to <paramref name="bound"/> - 1.</summary>
    internal int Below(int bound) => (int)(((UInt128)Next() * (ulong)bound) >> 64);

    internal int Between(int least, int most) => least + Below(most - least + 1);

    internal bool Chance(int perMille) => Below(1000) < perMille;

    internal TimeSpan Time(int leastMs, int mostMs) => TimeSpan.FromMilliseconds(Between(leastMs, mostMs));

    internal T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    internal double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));

    internal Guid Id()
    {
        Span<byte> bytes = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes, Next());
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], Next());
        return new Guid(bytes, bigEndian: true);
    }

    /// <summary>A source of its own, so that what is drawn from it does not move what is drawn here.</summary>
    internal SimRandom Fork() => new(Next());
}

/// <summary>The engine's dice.</summary>
internal sealed class SimDice(SimRandom random) : Random(0)
{
    public override double NextDouble() => random.Fraction();
}

internal sealed class SimIds(SimRandom random, TimeProvider clock) : Core.IIdSource
{
    public Guid NextRun()
    {
        Span<byte> bytes = stackalloc byte[16];
        random.Id().TryWriteBytes(bytes, bigEndian: true, out _);
        var ms = clock.GetUtcNow().ToUnixTimeMilliseconds();
        for (var i = 5; i >= 0; i--, ms >>= 8)
            bytes[i] = (byte)ms;
        bytes[6] = (byte)(0x70 | (bytes[6] & 0x0f));
        bytes[8] = (byte)(0x80 | (bytes[8] & 0x3f));
        return new Guid(bytes, bigEndian: true);
    }

    public Guid NextRandom() => random.Id();
}
