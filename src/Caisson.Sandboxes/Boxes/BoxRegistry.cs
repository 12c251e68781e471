using System.Collections.Concurrent;

namespace Caisson.Sandboxes.Boxes;

/// <summary>The boxes of this process, from before anything of them exists until everything is gone.</summary>
internal sealed class BoxRegistry
{
    private readonly ConcurrentDictionary<string, (string Kind, long Bytes, Box? Box)> _boxes = new();

    /// <summary>One left: there may be room now.</summary>
    public event Action? Left;

    /// <summary>Those that are being started and ended included.</summary>
    public int Count => _boxes.Count;

    /// <summary>Still without a guest agent that answers.</summary>
    public int Starting => _boxes.Values.Count(b => b.Box is null);

    /// <summary>What those are going to take.</summary>
    public long StartingBytes => _boxes.Values.Where(b => b.Box is null).Sum(b => b.Bytes);

    public bool Contains(string id) => _boxes.ContainsKey(id);

    /// <param name="kind"><c>null</c> for all.</param>
    public IReadOnlyList<Box> Live(string? kind = null) => [.. _boxes.Values.Where(b => kind is null || b.Kind == kind).Select(b => b.Box).OfType<Box>()];

    /// <param name="bytes">What it takes until it stands idle.</param>
    public void Expect(string id, string kind, long bytes) => _boxes[id] = (kind, bytes, null);

    public void Add(Box box) => _boxes[box.Id] = (box.Kind, 0, box);

    public void Forget(string id)
    {
        if (_boxes.TryRemove(id, out _))
            Left?.Invoke();
    }
}
