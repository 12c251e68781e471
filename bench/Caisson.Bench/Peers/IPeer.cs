using System.Globalization;

namespace Caisson.Bench.Peers;

/// <summary>A durable engine with its worker, started anew on empty storage for each round.</summary>
internal interface IPeer : IAsyncDisposable
{
    /// <summary>Runs so many agents of so many steps at once; each step returns 2 KiB that are recorded before the next begins.</summary>
    Task<PeerAnswer> RunAsync(int runs, int steps, int toolMs);

    /// <summary>The processes whose time counts, with their children.</summary>
    IReadOnlyList<int> Processes { get; }
}

/// <param name="Wall">From the first run's creation to the last one's end.</param>
/// <param name="P50">Milliseconds between the beginnings of two steps; means something for a single run only.</param>
internal sealed record PeerAnswer(TimeSpan Wall, double P50, double P99)
{
    /// <summary>A worker's line: <c>SECONDS P50 P99</c>.</summary>
    internal static PeerAnswer Parse(string line)
    {
        var parts = line.Split(' ').Select(part => double.Parse(part, CultureInfo.InvariantCulture)).ToArray();
        return new PeerAnswer(TimeSpan.FromSeconds(parts[0]), parts[1], parts[2]);
    }
}
