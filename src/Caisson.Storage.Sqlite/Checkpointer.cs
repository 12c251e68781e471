using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// Moves the write-ahead log into the database from a thread of its own: an automatic checkpoint would run inside some
/// batch's commit, and every run in that batch would wait for it. Under steady load such a checkpoint never catches up
/// with the writer and the log never starts again from its beginning, so a log that has grown long is emptied between
/// two batches, when almost all of it is in the database already.
/// </summary>
internal sealed class Checkpointer : IDisposable
{
    internal const int IoError = 10;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly SqliteConnection _connection;
    private readonly string _log;
    private readonly long _threshold;
    private readonly long _longest;
    private readonly Func<Func<bool>, bool> _betweenBatches;
    private readonly Action<SqliteException> _ill;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _one = new();
    private bool _disposed;

    /// <param name="thresholdBytes">From this length on the log is copied, beside the writer.</param>
    /// <param name="longestBytes">From this length on it is emptied as well.</param>
    /// <param name="betweenBatches">Runs its argument while the writer pauses.</param>
    /// <param name="ill">Told when the disk fails.</param>
    internal Checkpointer(SqliteConnection connection, string walFile, long thresholdBytes, long longestBytes, Func<Func<bool>, bool> betweenBatches, Action<SqliteException> ill, TimeProvider clock, ILogger logger)
    {
        (_connection, _log, _threshold, _longest, _betweenBatches, _ill, _logger) = (connection, walFile, thresholdBytes, longestBytes, betweenBatches, ill, logger);
        _timer = clock.CreateTimer(_ => Look(), null, LookEvery, LookEvery);
    }

    private void Look()
    {
        if (!_one.TryEnter())
            return;
        try
        {
            var file = new FileInfo(_log);
            if (_disposed || !file.Exists || file.Length < _threshold)
                return;
            Checkpoint("PASSIVE");
            if (file.Length >= _longest)
                _betweenBatches(() => Checkpoint("TRUNCATE"));
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

    /// <returns>Whether all of the log was moved; a reader in the middle of it prevents that, and the next look tries again.</returns>
    private bool Checkpoint(string mode)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = $"PRAGMA wal_checkpoint({mode})";
        return command.ExecuteScalar() is 0L;
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
