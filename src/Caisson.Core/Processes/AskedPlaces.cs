using System.Globalization;
using Caisson.Core.Journal;

namespace Caisson.Core.Processes;

/// <param name="Nth"><c>null</c> for a key of the program's own.</param>
internal sealed record AskedPlace(StepKey Key, string Identity, int? Nth);

/// <summary>
/// Which questions one start of a program has asked. The nth of equal questions has the key that the nth of any other
/// start had, so what is recorded is found again in whatever order. A question whose client went without its answer gives
/// its place back, and the next equal one takes it.
/// </summary>
internal sealed class AskedPlaces(int most)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _next = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SortedSet<int>> _returned = new(StringComparer.Ordinal);

    /// <returns><c>null</c> where the program asked for too many different things.</returns>
    internal AskedPlace? Take(string kind, string identity)
    {
        var name = kind + "\0" + identity;
        lock (_lock)
        {
            if (_returned.TryGetValue(name, out var returned) && returned.Count > 0)
            {
                var first = returned.Min;
                returned.Remove(first);
                return new AskedPlace(KeyOf(kind, identity, first), name, first);
            }

            if (!_next.TryGetValue(name, out var nth) && _next.Count >= most)
                return null;
            _next[name] = nth + 1;
            return new AskedPlace(KeyOf(kind, identity, nth), name, nth);
        }
    }

    /// <returns><c>null</c> where the key was used before in this start.</returns>
    internal AskedPlace? TakeOwn(string kind, string key)
    {
        lock (_lock)
            return _next.Count < most && _next.TryAdd(kind + "\0" + key, 0) ? new AskedPlace(new StepKey(StepHash.Of(kind, "", key)), kind + "\0" + key, null) : null;
    }

    internal void GiveBack(AskedPlace place)
    {
        lock (_lock)
        {
            if (place.Nth is not { } nth)
                _next.Remove(place.Identity);
            else if (_returned.TryGetValue(place.Identity, out var returned))
                returned.Add(nth);
            else
                _returned[place.Identity] = [nth];
        }
    }

    internal static StepKey KeyOf(string kind, string identity, int nth) => new(StepHash.Of(kind, "", identity, nth.ToString(CultureInfo.InvariantCulture)));
}
