using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>The live boxes of this server, for those who look after it.</summary>
public interface ISandboxRegistry
{
    /// <summary>All that live now, those that stand ready for nobody included.</summary>
    IReadOnlyList<SandboxInfo> List();

    /// <summary>A box that belongs to a run, or <c>null</c>.</summary>
    ISandbox? Find(string id);

    SandboxPoolInfo Pool();

    /// <summary>Why no box can have this image, as far as that is known without unpacking it; else <c>null</c>.</summary>
    Failure? CheckImage(string name);
}

/// <param name="Run">Whose it is; <c>null</c> for one that stands ready, and for a fork.</param>
/// <param name="Image">Digest of what it sees as its root.</param>
public sealed record SandboxInfo(string Id, string Provider, RunId? Run, long Epoch, SandboxState State, string Image, DateTimeOffset Made, SandboxStats Stats)
{
    /// <summary>Of a fork: what it went on from.</summary>
    public SandboxOrigin? Origin { get; init; }
}

/// <param name="Size">Boxes that are kept ready of each sort.</param>
/// <param name="Waiting">Runs that wait for room.</param>
public sealed record SandboxPoolInfo(int Size, int Waiting, IReadOnlyList<SandboxShelf> Shelves);

public sealed record SandboxShelf(string Provider, string Image, long DiskBytes, int Ready);
