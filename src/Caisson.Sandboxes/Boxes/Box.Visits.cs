namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// Visits: people in a box beside its owner. The owner freezes a box when it rests, and would freeze the visitor's
/// command with it; a command that is frozen cannot be killed, and the box would be lost. And who leaves cannot know
/// whether the owner is at work. So the box decides: it stays thawed while anybody visits, and the last to leave has it
/// frozen where nothing runs. A freeze that comes between two calls of the owner does no harm, since each call thaws.
/// </summary>
internal sealed partial class Box
{
    private int _visits;
    private int _commands;

    /// <summary>A fork has no owner who would thaw it: what runs in it runs on.</summary>
    private bool StaysThawed => Volatile.Read(ref _terminals) > 0 || Volatile.Read(ref _visits) > 0 || Spec.Origin is not null;

    private bool IsAtRest => Volatile.Read(ref _commands) == 0 && Volatile.Read(ref _fileCalls) == 0;

    public IAsyncDisposable Visit()
    {
        Interlocked.Increment(ref _visits);
        return new Visitor(this);
    }

    private async ValueTask LeaveAsync()
    {
        Interlocked.Decrement(ref _visits);
        await _turn.WaitAsync();
        try
        {
            if (!StaysThawed && IsAtRest)
                await FreezeNeedsTurnAsync(CancellationToken.None);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task<T> InCommandAsync<T>(Func<Task<T>> command)
    {
        Interlocked.Increment(ref _commands);
        try
        {
            return await command();
        }
        finally
        {
            Interlocked.Decrement(ref _commands);
        }
    }

    private sealed class Visitor(Box box) : IAsyncDisposable
    {
        private int _left;

        public ValueTask DisposeAsync() => Interlocked.Exchange(ref _left, 1) == 0 ? box.LeaveAsync() : ValueTask.CompletedTask;
    }
}
