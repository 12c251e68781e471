using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Egress;

/// <summary>Makes the ways out of boxes. What the server's configuration does not grant is not to be had.</summary>
public interface IBoxEgress
{
    /// <summary>Why a manifest's wishes cannot be had on this server, or <c>null</c>. Asked before a run begins to exist.</summary>
    Failure? Problem(AgentManifest manifest);

    /// <summary>The ways out of one box, or <c>null</c> where its manifest asks for none.</summary>
    /// <param name="used">Bytes that passed the wall of the run's earlier boxes.</param>
    IBoxDoors? Open(AgentManifest manifest, IEgressLog log, long used);
}

/// <summary>The ways out of one box. Disposing of it ends every connection.</summary>
public interface IBoxDoors : IAsyncDisposable
{
    IReadOnlyList<BoxForward> Forwards { get; }

    IReadOnlyDictionary<string, string> Environment { get; }

    /// <summary>By their names below <c>/run/box</c>.</summary>
    IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; }
}
