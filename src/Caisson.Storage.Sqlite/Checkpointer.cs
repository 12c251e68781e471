using Caisson.Storage.Sqlite.Disk;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite;

/// <summary>How long the write-ahead log may get, in bytes.</summary>
/// <param name="Copy">After so much was written it is copied into the database, beside the writer.</param>
/// <param name="Restart">With so much in it, it begins again at its start, between two batches.</param>
/// <param name="Shrink">A file of this length is cut off as well.</param>
/// <param name="Reserve">So much of the file is made in advance; 0 for nothing.</param>
internal sealed record LogLimits(long Copy, long Restart, long Shrink, long Reserve);

/// <summary>
/// Moves the write-ahead log into the database from a thread of its own: an automatic checkpoint would run inside some
/// batch's commit, and every run in that batch would wait for it. Under steady load such a checkpoint never catches up
/// with the writer and the log never starts again from its beginning, so a log that has grown long is restarted between
/// two batches, when almost all of it is in the database already. Its file stays: a sync after writing into a file that
/// is there already takes half the time of one that makes the file longer.
/// </summary>
internal sealed class Checkpointer : IDisposable
{
    internal const int IoError = 10;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(0.25);

    private readonly SqliteConnection _connection;
    private readonly string _log;
    private readonly LogLimits _limits;
    private readonly Func<long> _pagesWritten;
    private readonly Func<Func<bool>, bool> _betweenBatches;
    private readonly Action<SqliteException> _ill;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _one = new();
    private readonly long _pageBytes;
    private long _copiedAt;
    private bool _disposed;

    /// <param name="pagesWritten">How many pages the writer has written to the log.</param>
    /// <param name="betweenBatches">Runs its argument while the writer pauses.</param>
    /// <param name="ill">Told when the disk fails.</param>
    internal Checkpointer(SqliteConnection connection, string walFile, LogLimits limits, Func<long> pagesWritten, Func<Func<bool>, bool> betweenBatches, Action<SqliteException> ill, TimeProvider clock, ILogger logger)
    {
        (_connection, _log, _limits, _pagesWritten, _betweenBatches, _ill, _logger) = (connection, walFile, limits, pagesWritten, betweenBatches, ill, logger);
        _pageBytes = Ask("PRAGMA page_size", 0);
        _timer = clock.CreateTimer(_ => Look(), null, LookEvery, LookEvery);
    }

    private void Look()
    {
        if (!_one.TryEnter())
            return;
        try
        {
            if (!_disposed)
                Tend();
        }
        catch (SqliteException problem) when (problem.SqliteErrorCode == IoError)
        {
            // A page that did not reach the disk may look clean to the next checkpoint, which would then drop the log.
            _ill(problem);
        }
        catch (SqliteException problem)
        {
            // The log only grows for now; a full disk is the guard's business.
            _logger.LogWarning("checkpoint failed: {Problem}", problem.Message);
        }
        finally
        {
            _one.Exit();
        }
    }

    private void Tend()
    {
        var file = new FileInfo(_log);
        if (!file.Exists)
            return;
        var written = _pagesWritten();
        if ((written - _copiedAt) * _pageBytes >= _limits.Copy || file.Length >= _limits.Shrink)
        {
            _copiedAt = written;
            if (Checkpoint("PASSIVE") >= _limits.Restart || file.Length >= _limits.Shrink)
            {
                // What came in the meantime is copied before the writer has to wait.
                _ = Checkpoint("PASSIVE");
                _ = _betweenBatches(() => Checkpoint(file.Length >= _limits.Shrink ? "TRUNCATE" : "RESTART") >= 0);
            }
        }

        LogReserve.Grow(_log, _limits.Reserve, _betweenBatches);
    }

    /// <returns>How much is in the log, in bytes. A reader in the middle of it keeps it from being emptied, and the next look tries again.</returns>
    private long Checkpoint(string mode) => Ask($"PRAGMA wal_checkpoint({mode})", 1) * _pageBytes;

    private long Ask(string pragma, int column)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = pragma;
        using var row = command.ExecuteReader();
        return row.Read() ? row.GetInt64(column) : 0;
    }

    public void Dispose()
    {
        _timer.Dispose();
        lock (_one)
        {
            _disposed = true;
            _connection.Dispose();
        }
    }
}
