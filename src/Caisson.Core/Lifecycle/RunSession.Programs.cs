using Caisson.Core.Journal;

namespace Caisson.Core.Lifecycle;

/// <summary>Steps that are executed by a program outside of this process.</summary>
internal sealed partial class RunSession
{
    /// <summary>Whether this step is the only one under way.</summary>
    internal bool IsOnly(StepKey key)
    {
        lock (_memory)
            return _open.IsOnly(key);
    }

    /// <summary>A step is at work, and says so.</summary>
    internal void Heartbeat(StepKey key, string? note)
    {
        lock (_memory)
        {
            _lastProgress = _services.Clock.GetUtcNow();
            _open.Note(key, note);
        }
    }

    /// <summary>A step is not under way any more, whatever it came to: its room on the budget path is free again, if it was not used.</summary>
    internal void Forget(StepKey key)
    {
        lock (_memory)
            Close_NeedsLock(key, completed: false);
    }
}
