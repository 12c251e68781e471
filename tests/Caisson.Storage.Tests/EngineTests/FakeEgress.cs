using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Sandboxes;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>A wall without doors: it hands the run's log to the test, which says what leaves.</summary>
internal sealed class FakeEgress : IBoxEgress
{
    private IEgressLog? _log;

    internal IEgressLog Log => _log ?? throw new InvalidOperationException("no box was opened");

    internal List<long> Used { get; } = [];

    public Failure? Problem(AgentManifest manifest) => null;

    public IBoxDoors? Open(AgentManifest manifest, IEgressLog log, long used)
    {
        _log = log;
        Used.Add(used);
        return new Doors();
    }

    private sealed class Doors : IBoxDoors
    {
        public IReadOnlyList<BoxForward> Forwards => [];

        public IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>();

        public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; } = new Dictionary<string, ReadOnlyMemory<byte>>();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
