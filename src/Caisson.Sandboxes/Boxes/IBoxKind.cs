using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// What one kind of box adds to what all share: which outside programs it needs, and how the launcher starts it. The
/// folder, disk, cgroup, sockets, workspace and end of a box are the same for every kind; see <see cref="BoxHost"/>.
/// </summary>
internal interface IBoxKind
{
    /// <summary>Short and stable: <c>gvisor</c>. Stands in the box's intent.</summary>
    string Name { get; }

    IsolationTier Tier { get; }

    /// <summary>Whether memory, cores and processes are set at a box's start and cannot be changed when it is given to a run.</summary>
    bool FixesLimits { get; }

    /// <summary>Of the host's memory: what a box takes until it stands idle, with room to spare.</summary>
    long StartBytes { get; }

    /// <summary>How the command line of its own kernel begins, where that is a process beside those of the box's programs.</summary>
    string? Kernel => null;

    /// <summary>What to do where <see cref="PrepareAsync"/> finds something missing.</summary>
    string Remedy { get; }

    /// <summary>Finds its programs, at the first call; or answers, in words, what is missing.</summary>
    Task<string?> PrepareAsync(CancellationToken cancellationToken);

    /// <summary>Version and platform, for <c>doctor</c>. Valid once prepared.</summary>
    string Describe();

    /// <summary><c>null</c> where this kind, as it is installed, takes none.</summary>
    IBoxCheckpoints? Checkpoints => null;

    /// <summary>Writes what the box's folder needs and answers how the launcher starts it.</summary>
    Task<LaunchPlan> PlanAsync(BoxPlan box, CancellationToken cancellationToken);
}

/// <param name="Root">The tree that the box sees as its root; read-only.</param>
/// <param name="Lose">Ends the box for a reason.</param>
internal sealed record BoxPlan(BoxFolder Folder, string Root, SandboxSettings Limits, Action<Failure> Lose);

/// <param name="Command">The program that starts the box and its arguments; see guest/launch.c.</param>
/// <param name="Options">Further options of the launcher.</param>
internal sealed record LaunchPlan(IReadOnlyList<string> Command, IReadOnlyList<string> Options)
{
    /// <summary>Carries the guest's connections where the box cannot dial the host's sockets itself. Ended with the box.</summary>
    public IAsyncDisposable? Carrier { get; init; }

    /// <summary>Memory that the kind needs beside what the box may have: added to the cgroup's limit.</summary>
    public long ExtraMemoryBytes { get; init; }

    /// <summary>
    /// Where the host's counters cannot show that a limit ended the box, because a kernel of its own keeps it: finds that
    /// in what the box's program said.
    /// </summary>
    public Func<string, Failure?>? Verdict { get; init; }
}

/// <summary>Boxes to disk and back.</summary>
internal interface IBoxCheckpoints
{
    /// <summary>Only the same version reads what it wrote.</summary>
    string Version { get; }

    /// <summary>Writes the box into a folder and ends it. The guest has no connection open.</summary>
    /// <param name="launcher">The process in whose namespaces the box runs.</param>
    Task<Failure?> TakeAsync(BoxFolder box, int launcher, string folder, CancellationToken cancellationToken);

    /// <summary>
    /// Writes the box into a folder and lets it go on. It stands still until <paramref name="meanwhile"/> is over, so that
    /// what is copied then is of the same moment. The guest has no connection open.
    /// </summary>
    Task<Failure?> CopyAsync(BoxFolder box, int launcher, string folder, Func<Task<Failure?>> meanwhile);

    Task<LaunchPlan> PlanAsync(BoxPlan box, string folder, CancellationToken cancellationToken);
}
