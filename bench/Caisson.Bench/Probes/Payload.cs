namespace Caisson.Bench.Probes;

/// <summary>Contents that no compression makes smaller, the same in every run of the program.</summary>
internal static class Payload
{
    internal const int ResultBytes = 2048;

    internal static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>A step's result: 2 KiB of text.</summary>
    internal static string Text(int seed) => Convert.ToBase64String(Bytes(ResultBytes / 4 * 3, seed));
}
