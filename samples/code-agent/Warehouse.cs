using Caisson.Core.Agents;

namespace CodeAgent;

/// <summary>The world outside: a book of what was shipped, one line for each parcel.</summary>
internal sealed class Warehouse
{
    private const string Book = "shipped.txt";
    private const int Lamps = 5;

    internal async Task<int> CountAsync() => Math.Max(0, Lamps - (await ReadAsync()).Length);

    internal async Task<string> ShipAsync(string key, string to, string carrier)
    {
        await File.AppendAllTextAsync(Book, $"{key} a lamp to {to} with {carrier}\n");
        return $"shipped to {to} with {carrier}";
    }

    /// <summary>What became of a parcel whose shipping was interrupted.</summary>
    internal async Task<EffectCheck<string>> FindAsync(string key) =>
        (await ReadAsync()).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) is { } line
            ? new EffectCheck<string>(EffectState.Done, line[(key.Length + 1)..])
            : new EffectCheck<string>(EffectState.NotDone);

    private static async Task<string[]> ReadAsync() => File.Exists(Book) ? await File.ReadAllLinesAsync(Book) : [];
}
