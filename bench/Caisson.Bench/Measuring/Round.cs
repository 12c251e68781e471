using Caisson.Bench.Probes;

namespace Caisson.Bench.Measuring;

/// <summary>
/// One round: the probes first, then the workloads, so that the disk's mood is the same for the floor and for what is
/// measured against it. Each workload gets an empty folder.
/// </summary>
/// <param name="warm">Whether this round only warms the code up and does not count.</param>
internal sealed class Round(string root, Report report, bool warm) : IDisposable
{
    private int _folders;

    internal bool IsWarmUp => warm;

    internal Report Report => report;

    /// <summary>What the disk and SQLite can do by themselves, in this round.</summary>
    internal required Floor Floor { get; init; }

    internal void Add(Figure figure, double value) => report.Add(figure, value);

    internal string Folder() => Directory.CreateDirectory(Path.Combine(root, $"{++_folders}")).FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);
}
