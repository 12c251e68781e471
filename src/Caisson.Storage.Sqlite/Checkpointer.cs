using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// Moves the write-ahead log into the database from a thread of its own: an automatic checkpoint would run inside some
/// batch's commit, and every run in that batch would wait for it.
/// </summary>
internal sealed class Checkpointer : IDisposable
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly SqliteConnection _connection;
    private readonly string _log;
    private readonly long _threshold;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _one = new();
    private bool _disposed;

    internal Checkpointer(SqliteConnection connection, string walFile, long thresholdBytes, TimeProvider clock, ILogger logger)
    {
        (_connection, _log, _threshold, _logger) = (connection, walFile, thresholdBytes, logger);
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
            using var command = _connection.CreateCommand();
            command.CommandText = "PRAGMA wal_checkpoint(PASSIVE)";
            command.ExecuteNonQuery();
        }
        catch (SqliteException problem)
        {
            // The log only grows for now; if the disk is really ill, the writer finds out with its next commit.
            _logger.LogWarning("checkpoint failed: {Problem}", problem.Message);
        }
        finally
        {
            _one.Exit();
        }
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
