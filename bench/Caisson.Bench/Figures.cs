using System.Globalization;

namespace Caisson.Bench;

/// <summary>What was measured, round by round, and the table that is made of it.</summary>
internal sealed class Figures
{
    private readonly Dictionary<string, List<double>> _series = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Format, string Target)> _rows = new(StringComparer.Ordinal);

    /// <param name="format">A number's format with its unit, as <c>0.00 ms</c>.</param>
    /// <param name="target">Empty where there is none.</param>
    internal void Add(string what, double value, string format, string target = "")
    {
        if (!_series.TryGetValue(what, out var values))
        {
            _series[what] = values = [];
            _rows[what] = (format, target);
        }

        values.Add(value);
    }

    internal void Forget()
    {
        _series.Clear();
        _rows.Clear();
    }

    internal void Print(TextWriter to)
    {
        to.WriteLine("| what | median [least–most] | target |");
        to.WriteLine("|---|---|---|");
        foreach (var (what, values) in _series)
        {
            var (format, target) = _rows[what];
            var (number, unit) = format.Split(' ', 2) is [var n, var u] ? (n, " " + u) : (format, "");
            var sorted = values.Order().ToArray();
            string Text(double value) => value.ToString(number, CultureInfo.InvariantCulture);
            to.WriteLine($"| {what} | {Text(sorted[sorted.Length / 2])} [{Text(sorted[0])}–{Text(sorted[^1])}]{unit} | {target} |");
        }
    }

    internal static double Percentile(IEnumerable<double> values, double part)
    {
        var sorted = values.Order().ToArray();
        return sorted[Math.Min(sorted.Length - 1, (int)(part * sorted.Length))];
    }
}
