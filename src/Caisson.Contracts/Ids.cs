using System.Diagnostics.CodeAnalysis;

namespace Caisson.Contracts;

/// <summary>One durable execution of an agent. A UUIDv7, so ids sort by creation time.</summary>
public readonly record struct RunId(Guid Value) : IComparable<RunId>
{
    public static bool TryParse([NotNullWhen(true)] string? text, out RunId id)
    {
        var parsed = Guid.TryParseExact(text, "D", out var value);
        id = new RunId(value);
        return parsed;
    }

    public static RunId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"'{text}' is not a run id");

    public int CompareTo(RunId other) => string.CompareOrdinal(ToString(), other.ToString());

    public override string ToString() => Value.ToString("D");

    public static bool operator <(RunId left, RunId right) => left.CompareTo(right) < 0;
    public static bool operator <=(RunId left, RunId right) => left.CompareTo(right) <= 0;
    public static bool operator >(RunId left, RunId right) => left.CompareTo(right) > 0;
    public static bool operator >=(RunId left, RunId right) => left.CompareTo(right) >= 0;
}
