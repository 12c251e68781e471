using System.Globalization;
using System.Text;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Peers;

/// <param name="MoreIsBetter">Which way the ratio goes: how many times better the first column is.</param>
internal sealed record PeerFigure(string What, string Format, bool MoreIsBetter = false, string Target = "");

/// <summary>A row for each figure, a column for each peer, and ratios of values that were measured in the same round.</summary>
internal sealed class PeerTable(IReadOnlyList<string> peers)
{
    private readonly OrderedDictionary<PeerFigure, Dictionary<string, List<double>>> _values = [];

    internal void Add(PeerFigure figure, string peer, double value)
    {
        if (!_values.TryGetValue(figure, out var row))
            _values.Add(figure, row = peers.ToDictionary(name => name, _ => new List<double>()));
        row[peer].Add(value);
    }

    internal string Markdown()
    {
        var others = peers.Skip(1).ToList();
        var text = new StringBuilder();
        void Row(IEnumerable<string> cells) => text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", cells)} |\n");
        Row(["what", .. peers, .. others.Select(other => $"times better than {other}"), "target"]);
        Row(Enumerable.Repeat("---", 2 + peers.Count + others.Count));
        foreach (var (figure, row) in _values)
        {
            var own = row[peers[0]];
            IEnumerable<string> ratios = others.Select(other =>
                Statistics.Spread([.. own.Zip(row[other], (mine, theirs) => figure.MoreIsBetter ? mine / theirs : theirs / mine)], "0.0"));
            Row([figure.What, .. peers.Select(peer => Statistics.Spread(row[peer], figure.Format)), .. ratios, figure.Target]);
        }

        return text.ToString();
    }
}
