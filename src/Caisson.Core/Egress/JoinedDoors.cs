using Caisson.Core.Sandboxes;

namespace Caisson.Core.Egress;

/// <summary>The ways out of one box that two parts of the server make.</summary>
internal sealed class JoinedDoors(IBoxDoors first, IBoxDoors second) : IBoxDoors
{
    public IReadOnlyList<BoxForward> Forwards { get; } = [.. first.Forwards, .. second.Forwards];

    public IReadOnlyDictionary<string, string> Environment { get; } = Join(first.Environment, second.Environment);

    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; } = Join(first.Files, second.Files);

    public async ValueTask DisposeAsync()
    {
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    private static Dictionary<string, T> Join<T>(IReadOnlyDictionary<string, T> first, IReadOnlyDictionary<string, T> second) =>
        new(first.Concat(second), StringComparer.Ordinal);
}
