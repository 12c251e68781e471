using Caisson.Contracts;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using SQLitePCL;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// The one way to write: one batch at a time.
/// <para>
/// Problem: a durable write costs a disk sync, and a sync costs the same for one row as for five hundred. So there is
/// one writer, and a batch is whatever arrived while the previous sync ran: no artificial wait, no lost time. A caller
/// that finds the writer idle and nothing else to do in this process commits its unit itself: waking a thread and being
/// woken by it would take longer than the sync. Each unit stands in a savepoint of its own, decided in the batch: a
/// refused unit leaves no trace and its neighbours go on. Answers are given after the commit, never before. Invariants:
/// who commits holds the turn; units are committed in the order in which they came. When the disk fails, the outcome of
/// the batch is unknown and asking again could lie, so nothing is retried: <see cref="Faulted"/> completes, every waiter
/// gets the fault, and the process has to end; the next one reads what is really there. When the process dies in a
/// batch, the whole batch is there after the restart or none of it is, and nobody was told otherwise.
/// </para>
/// </summary>
internal sealed class Writer : IDisposable
{
    private const int MostInBatch = 512;
    private const int MostQueued = 20_000;

    private readonly Queue<IUnit> _queue = new();
    private readonly SqliteConnection _connection;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _faulted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _turn = new();
    private readonly object _arrivals = new();
    private readonly Statement _begin;
    private readonly Statement _commit;
    private readonly Statement _savepoint;
    private readonly Statement _release;
    private readonly Statement _undo;
    private long _pages;
    private bool _closed;

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

    /// <summary>Pages that were written to the log since the start.</summary>
    internal long PagesWritten => Interlocked.Read(ref _pages);

    /// <summary>Runs <paramref name="work"/> in the next batch; the answer comes when it is on stable storage.</summary>
    /// <param name="work">Answers the outcome and whether what it wrote is kept.</param>
    internal Task<T> DoAsync<T>(Func<(T Outcome, bool Keep)> work)
    {
        var unit = new Unit<T>(work);
        if (!TryCommitHere(unit))
            Enqueue(unit);
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

    /// <summary>Only where nobody waits for this thread and no unit came earlier.</summary>
    private bool TryCommitHere(IUnit unit)
    {
        if (ThreadPool.PendingWorkItemCount > 0 || !_turn.TryEnter())
            return false;
        List<IUnit> batch = [unit];
        try
        {
            lock (_arrivals)
            {
                if (_closed || _queue.Count > 0)
                    return false;
            }

            Commit(batch);
        }
        catch (SqliteException problem)
        {
            Fault(batch, problem);
        }
        finally
        {
            _turn.Exit();
        }

        return true;
    }

    private void Enqueue(IUnit unit)
    {
        lock (_arrivals)
        {
            while (_queue.Count >= MostQueued && !_closed)
                Monitor.Wait(_arrivals);
            if (!_closed)
            {
                _queue.Enqueue(unit);
                if (_queue.Count == 1)
                    Monitor.PulseAll(_arrivals);
                return;
            }
        }

        unit.Fail(_faulted.Task.Exception?.InnerException ?? new CaissonException(ErrorCodes.StorageFailed, "the store is closed"));
    }

    private void Run()
    {
        var batch = new List<IUnit>(MostInBatch);
        while (WaitForArrivals())
        {
            try
            {
                // Taken only when it is this thread's turn: so nothing that came later is committed elsewhere before it.
                lock (_turn)
                {
                    Take(batch);
                    if (batch.Count > 0)
                        Commit(batch);
                }
            }
            catch (SqliteException problem)
            {
                Fault(batch, problem);
            }

            batch.Clear();
        }
    }

    /// <returns><c>false</c> when the writer is closed and everything is written.</returns>
    private bool WaitForArrivals()
    {
        lock (_arrivals)
        {
            while (_queue.Count == 0 && !_closed)
                Monitor.Wait(_arrivals);
            return _queue.Count > 0;
        }
    }

    private void Take(List<IUnit> batch)
    {
        lock (_arrivals)
        {
            var wasFull = _queue.Count >= MostQueued;
            while (batch.Count < MostInBatch && _queue.TryDequeue(out var next))
                batch.Add(next);
            if (wasFull)
                Monitor.PulseAll(_arrivals);
        }
    }

    private void Commit(List<IUnit> batch)
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
        raw.sqlite3_db_status(_connection.Handle, raw.SQLITE_DBSTATUS_CACHE_WRITE, out var pages, out _, resetFlg: 1);
        Interlocked.Add(ref _pages, pages);
        foreach (var unit in batch)
            unit.Answer();
    }

    private void Fault(List<IUnit> batch, SqliteException problem)
    {
        var full = problem.SqliteErrorCode == raw.SQLITE_FULL;
        var fault = new CaissonException(full ? ErrorCodes.DiskFull : ErrorCodes.StorageFailed,
            full ? "the disk of the data directory is full: free space, then start the server again" : $"the database failed: {problem.Message}: check the disk, then start the server again",
            inner: problem);
        _log.LogCritical("{Problem}", fault.Message);
        _faulted.TrySetException(fault);
        List<IUnit> waiting;
        lock (_arrivals)
        {
            _closed = true;
            waiting = [.. _queue];
            _queue.Clear();
            Monitor.PulseAll(_arrivals);
        }

        foreach (var unit in batch.Concat(waiting))
            unit.Fail(fault);
    }

    public void Dispose()
    {
        lock (_arrivals)
        {
            _closed = true;
            Monitor.PulseAll(_arrivals);
        }

        _thread.Join();
        lock (_turn)
        {
            foreach (var statement in new[] { _begin, _commit, _savepoint, _release, _undo })
                statement.Dispose();
            _connection.Dispose();
        }
    }

    private interface IUnit
    {
        /// <summary>Whether what it wrote is kept. A constraint is part of the work's own decision, never an accident.</summary>
        bool Execute();

        void Answer();

        void Fail(Exception fault);
    }

    private sealed class Unit<T>(Func<(T Outcome, bool Keep)> work) : TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously), IUnit
    {
        private T _outcome = default!;
        private CaissonException? _refusal;

        public bool Execute()
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

        public void Answer()
        {
            if (_refusal is null)
                TrySetResult(_outcome);
            else
                TrySetException(_refusal);
        }

        public void Fail(Exception fault) => TrySetException(fault);
    }
}
