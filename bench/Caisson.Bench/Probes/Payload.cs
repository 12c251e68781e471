namespace Caisson.Bench.Probes;

/// <summary>Contents that no compression makes smaller, the same in every run of the program.</summary>
internal static class Payload
{
    internal static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>A step's result: 2 KiB as text.</summary>
    internal static string Text(int seed) => Convert.ToBase64String(Bytes(1536, seed));
}
