using System.Text;
using System.Text.Json;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Wires.Keys;

/// <summary>Pairs the tool calls of a conversation with their results.</summary>
internal sealed class TurnLog
{
    // The guard looks at 64.
    private const int Most = 256;

    private readonly List<ToolTurn> _turns = [];
    private readonly Dictionary<string, Queue<int>> _open = new(StringComparer.Ordinal);

    public IReadOnlyList<ToolTurn> Turns => _turns.Count <= Most ? _turns : _turns.GetRange(_turns.Count - Most, Most);

    /// <param name="key">What the result will name: the call's id, or the tool where a wire has no ids.</param>
    public void Call(string? key, string? tool, string signature)
    {
        if (!_open.TryGetValue(key ?? "", out var open))
            _open.Add(key ?? "", open = new Queue<int>());
        open.Enqueue(_turns.Count);
        _turns.Add(new ToolTurn(tool ?? "", StepHash.Of(tool ?? "", signature), null, false));
    }

    public void Result(string? key, JsonElement content, bool failed = false)
    {
        if (_open.TryGetValue(key ?? "", out var open) && open.TryDequeue(out var index))
            _turns[index] = _turns[index] with { Result = Canonical.HashOf(content), Failed = failed };
    }

    /// <summary>Arguments that come as text: as JSON where they are, so that blanks and order do not count.</summary>
    public static string Arguments(string? text)
    {
        using var json = Body.TryParse(Encoding.UTF8.GetBytes(text ?? ""));
        return json is null ? StepHash.Of(text ?? "") : Canonical.HashOf(json.RootElement);
    }
}
