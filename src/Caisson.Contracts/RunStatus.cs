namespace Caisson.Contracts;

/// <summary>Where a run stands. The last three are final.</summary>
public enum RunStatus
{
    /// <summary>Accepted and waiting for a node to claim it.</summary>
    Ready = 1,
    /// <summary>Owned by a node that drives it.</summary>
    Running = 2,
    /// <summary>Nothing to do until its <see cref="WaitReason"/> is over.</summary>
    Waiting = 3,
    /// <summary>Stopped with a <see cref="PauseCause"/> until somebody resumes it.</summary>
    Paused = 4,
    Completed = 5,
    Failed = 6,
    Cancelled = 7,
}

/// <summary>What a waiting run waits for.</summary>
public enum WaitReason
{
    None = 0,
    /// <summary>The back-off before the next attempt of a failed step.</summary>
    Retry = 1,
    /// <summary>A sandbox: none could be started now.</summary>
    Sandbox = 2,
}

/// <summary>Why a run stands paused.</summary>
public enum PauseCause
{
    None = 0,
    Operator = 1,
    RetryExhausted = 2,
    Drift = 3,
    Budget = 4,
    Loop = 5,
    /// <summary>Its journal cannot be read: a backup must be restored.</summary>
    Corrupt = 6,
}

public static class RunStatuses
{
    public static bool IsFinal(this RunStatus status) => status >= RunStatus.Completed;
}
