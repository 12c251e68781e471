using System.Globalization;
using System.Text;

namespace Caisson.Bench.Measuring;

/// <summary>One line of the table. Its value is the median over the rounds, with the least and the most.</summary>
/// <param name="Target">What it should reach, as the table shows it; empty where it is only for orientation.</param>
internal sealed record Figure(string What, string Format, string Unit = "", string Target = "");

/// <summary>Collects each round's values, in the order in which figures first come.</summary>
internal sealed class Report
{
    private readonly OrderedDictionary<Figure, List<double>> _values = [];

    internal void Add(Figure figure, double value)
    {
        if (!_values.TryGetValue(figure, out var values))
            _values.Add(figure, values = []);
        values.Add(value);
    }

    internal string Markdown()
    {
        var text = new StringBuilder("| what | target | figure |\n|---|---|---|\n");
        foreach (var (figure, values) in _values)
            text.Append(CultureInfo.InvariantCulture, $"| {figure.What} | {figure.Target} | {Statistics.Spread(values, figure.Format)}{(figure.Unit.Length == 0 ? "" : " " + figure.Unit)} |\n");
        return text.ToString();
    }
}

internal static class Statistics
{
    internal static double Percentile(IReadOnlyCollection<double> values, double part)
    {
        var sorted = values.Order().ToArray();
        return sorted[Math.Min(sorted.Length - 1, (int)(part * sorted.Length))];
    }

    internal static double Median(IReadOnlyCollection<double> values) => Percentile(values, 0.5);

    internal static string Spread(IReadOnlyCollection<double> values, string format)
    {
        string Text(double value) => value.ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(Median(values))} [{Text(values.Min())}–{Text(values.Max())}]";
    }
}
