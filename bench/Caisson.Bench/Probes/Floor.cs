using Caisson.Bench.Measuring;

namespace Caisson.Bench.Probes;

/// <summary>What cannot be beaten here: times of one durable write, and rows a second of a bare group commit.</summary>
internal sealed record Floor(double SyncP50, double SyncP99, double SyncsPerSecond, double CommitP50, double RowsPerSecond)
{
    private static readonly Figure Sync = new("disk: append 2 KiB + fdatasync, p50", "0.000", "ms");
    private static readonly Figure Syncs = new("disk: syncs/s, one after another", "0");
    private static readonly Figure Commit = new("SQLite by itself: one row of 2 KiB, one commit, p50", "0.000", "ms");
    private static readonly Figure Rows = new("SQLite by itself: rows/s, a bare writer with 500 producers", "0");

    internal static Floor Measure(string folder)
    {
        var syncs = DiskProbe.Syncs(folder, 400);
        var commits = SqliteProbe.Commits(folder, 400);
        var rows = WriterProbe.RowsPerSecond(folder, producers: 500, rowsEach: 20);
        return new Floor(Statistics.Median(syncs), Statistics.Percentile(syncs, 0.99), 1000 / syncs.Average(), Statistics.Median(commits), rows);
    }

    internal void AddTo(Report report)
    {
        report.Add(Sync, SyncP50);
        report.Add(Syncs, SyncsPerSecond);
        report.Add(Commit, CommitP50);
        report.Add(Rows, RowsPerSecond);
    }
}
