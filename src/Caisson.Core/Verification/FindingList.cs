using System.Globalization;

namespace Caisson.Core.Verification;

/// <summary>Findings, up to a bound: a journal that is wrong all over needs no list of a million lines.</summary>
internal sealed class FindingList
{
    internal const int Most = 1_000;

    private readonly List<Finding> _items = [];

    internal IReadOnlyList<Finding> Items => _items;

    /// <summary>More was found than is listed.</summary>
    internal bool Truncated { get; private set; }

    internal void Add(long seq, FindingCode code, FormattableString text)
    {
        if (_items.Count < Most)
            _items.Add(new Finding(seq, code, text.ToString(CultureInfo.InvariantCulture)));
        else
            Truncated = true;
    }
}
