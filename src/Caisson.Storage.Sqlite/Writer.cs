using System.Collections.Concurrent;
using Caisson.Contracts;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// The one thread that writes.
/// <para>
/// Problem: a durable write costs a disk sync, and a sync costs the same for one row as for five hundred. So there is
/// one writer, and a batch is whatever arrived while the previous sync ran: no artificial wait, no lost time. Each unit
/// stands in a savepoint of its own, decided in the writer: a refused unit leaves no trace and its neighbours go on.
/// Answers are given after the commit, never before. When the disk fails, the outcome of the batch is unknown and
/// asking again could lie, so nothing is retried: <see cref="Faulted"/> completes, every waiter gets the fault, and the
/// process has to end; the next one reads what is really there. When the process dies in a batch, the whole batch is
/// there after the restart or none of it is, and nobody was told otherwise.
/// </para>
/// </summary>
internal sealed class Writer : IDisposable
{
    private const int MostInBatch = 512;
    private const int MostQueued = 20_000;

    private readonly BlockingCollection<Unit> _queue = new(MostQueued);
    private readonly SqliteConnection _connection;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _faulted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _turn = new();
    private readonly Statement _begin;
    private readonly Statement _commit;
    private readonly Statement _savepoint;
    private readonly Statement _release;
    private readonly Statement _undo;

    internal Writer(SqliteConnection connection, ILogger log)
    {
        (_connection, _log) = (connection, log);
        _begin = new Statement(connection, "BEGIN IMMEDIATE");
        _commit = new Statement(connection, "COMMIT");
        _savepoint = new Statement(connection, "SAVEPOINT unit");
        _release = new Statement(connection, "RELEASE unit");
        _undo = new Statement(connection, "ROLLBACK TO unit");
        _thread = new Thread(Run) { IsBackground = true, Name = "sqlite-writer" };
        _thread.Start();
    }

    /// <summary>Fails when the disk did; after that nothing is written any more.</summary>
    internal Task Faulted => _faulted.Task;

    /// <summary>Runs <paramref name="work"/> in the next batch; the answer comes when it is on stable storage.</summary>
    /// <param name="work">Answers the outcome and whether what it wrote is kept.</param>
    internal Task<T> DoAsync<T>(Func<(T Outcome, bool Keep)> work)
    {
        var unit = new Unit<T>(work);
        try
        {
            _queue.Add(unit);
        }
        catch (InvalidOperationException)
        {
            return Task.FromException<T>(_faulted.Task.Exception?.InnerException
                ?? new CaissonException(ErrorCodes.StorageFailed, "the store is closed"));
        }

        return unit.Task;
    }

    /// <summary>A connection beside this one found the disk ill: nothing more is written here either.</summary>
    internal void Fail(SqliteException problem) => Fault([], problem);

    /// <summary>
    /// Lets another connection write between two batches, on the caller's thread. Left to SQLite's own lock it would
    /// find the file taken again and again: the writer leaves it free for microseconds only, and the other one polls.
    /// This lock prefers who has waited for long.
    /// </summary>
    internal T Between<T>(Func<T> work)
    {
        lock (_turn)
            return work();
    }

    private void Run()
    {
        var batch = new List<Unit>(MostInBatch);
        try
        {
            foreach (var first in _queue.GetConsumingEnumerable())
            {
                batch.Add(first);
                while (batch.Count < MostInBatch && _queue.TryTake(out var next))
                    batch.Add(next);
                lock (_turn)
                    Commit(batch);
                batch.Clear();
            }
        }
        catch (SqliteException problem)
        {
            Fault(batch, problem);
        }
    }

    private void Commit(List<Unit> batch)
    {
        _begin.Run();
        foreach (var unit in batch)
        {
            _savepoint.Run();
            if (!unit.Execute())
                _undo.Run();
            _release.Run();
        }

        _commit.Run();
        foreach (var unit in batch)
            unit.Answer();
    }

    private void Fault(List<Unit> batch, SqliteException problem)
    {
        var full = problem.SqliteErrorCode == 13;
        var fault = new CaissonException(full ? ErrorCodes.DiskFull : ErrorCodes.StorageFailed,
            full ? "the disk of the data directory is full: free space, then start the server again" : $"the database failed: {problem.Message}: check the disk, then start the server again",
            inner: problem);
        _log.LogCritical("{Problem}", fault.Message);
        _queue.CompleteAdding();
        _faulted.TrySetException(fault);
        foreach (var unit in batch)
            unit.Fail(fault);
        while (_queue.TryTake(out var waiting))
            waiting.Fail(fault);
    }

    public void Dispose()
    {
        _queue.CompleteAdding();
        _thread.Join();
        foreach (var statement in new[] { _begin, _commit, _savepoint, _release, _undo })
            statement.Dispose();
        _connection.Dispose();
        _queue.Dispose();
    }

    private abstract class Unit
    {
        /// <summary>Whether what it wrote is kept. A constraint is part of the work's own decision, never an accident.</summary>
        internal abstract bool Execute();

        internal abstract void Answer();

        internal abstract void Fail(Exception fault);
    }

    private sealed class Unit<T>(Func<(T Outcome, bool Keep)> work) : Unit
    {
        private readonly TaskCompletionSource<T> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T _outcome = default!;
        private CaissonException? _refusal;

        internal Task<T> Task => _answer.Task;

        internal override bool Execute()
        {
            try
            {
                (_outcome, var keep) = work();
                return keep;
            }
            catch (CaissonException problem)
            {
                // Of this unit's own content, as a key that was destroyed: it is undone, and its neighbours go on.
                _refusal = problem;
                return false;
            }
        }

        internal override void Answer()
        {
            if (_refusal is null)
                _answer.TrySetResult(_outcome);
            else
                _answer.TrySetException(_refusal);
        }

        internal override void Fail(Exception fault) => _answer.TrySetException(fault);
    }
}
