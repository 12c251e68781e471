using Caisson.Core.Agents;

namespace CodeAgent;

/// <summary>The world outside: a book of what was shipped, one line for each parcel.</summary>
internal sealed class Warehouse
{
    private const int Lamps = 5;

    private readonly string _book = "shipped.txt";

    internal async Task<int> CountAsync() => Math.Max(0, Lamps - (await ReadAsync()).Length);

    internal async Task<string> ShipAsync(string key, string to, string carrier)
    {
        await File.AppendAllTextAsync(_book, $"{key} a lamp to {to} with {carrier}\n");
        return $"shipped to {to} with {carrier}";
    }

    /// <summary>What became of a parcel whose shipping was interrupted.</summary>
    internal async Task<EffectCheck<string>> FindAsync(string key) =>
        (await ReadAsync()).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) is { } line
            ? new EffectCheck<string>(EffectState.Done, line[(key.Length + 1)..])
            : new EffectCheck<string>(EffectState.NotDone);

    private async Task<string[]> ReadAsync() => File.Exists(_book) ? await File.ReadAllLinesAsync(_book) : [];
}
