namespace Caisson.MockModel;

/// <summary>Numbers the requests in the order of their lines in the log, and tells who waits for one.</summary>
internal sealed class RequestCounter(RequestLog log)
{
    private readonly Lock _lock = new();
    private readonly List<(long Count, TaskCompletionSource Signal)> _waiters = [];
    private long _requests;

    public long Count => Interlocked.Read(ref _requests);

    public long Note(RequestFacts facts)
    {
        lock (_lock)
        {
            var number = _requests + 1;
            log.Write(new RequestEvent(number, "request", facts, null, null));
            Interlocked.Exchange(ref _requests, number);
            foreach (var (_, signal) in _waiters.Where(w => w.Count <= number))
                signal.SetResult();
            _waiters.RemoveAll(w => w.Count <= number);
            return number;
        }
    }

    public Task WhenAsync(long count)
    {
        lock (_lock)
        {
            if (Count >= count)
                return Task.CompletedTask;
            var signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((count, signal));
            return signal.Task;
        }
    }
}
