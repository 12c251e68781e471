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
    Signal = 3,
    Timer = 4,
    /// <summary>The end of a child run.</summary>
    Child = 5,
    /// <summary>A person's decision.</summary>
    Approval = 6,
    /// <summary>Room under a budget that only the holds of other calls take.</summary>
    Budget = 7,
    /// <summary>A model provider that asked to be left alone for a while, or that has as many calls as it may.</summary>
    Provider = 8,
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
    /// <summary>The server died three times while this run alone was at work.</summary>
    Poison = 7,
    /// <summary>The agent's new build takes another way than the journal.</summary>
    Version = 8,
    /// <summary>The database was put back to an earlier state while the run was live: effects after that state may have happened.</summary>
    Restored = 9,
    /// <summary>A step whose outcome nobody knows waits for a person.</summary>
    Unknown = 10,
}

public static class RunStatuses
{
    public static bool IsFinal(this RunStatus status) => status >= RunStatus.Completed;
}
