using Caisson.Contracts;

namespace Caisson.Cli;

/// <summary>What scripts build on: never change a meaning.</summary>
internal static class ExitCodes
{
    internal const int Ok = 0;
    internal const int Failed = 1;
    internal const int Usage = 2;
    internal const int Config = 3;
    internal const int NotAllowed = 4;
    internal const int NotFound = 5;
    internal const int Conflict = 6;
    internal const int Unreachable = 7;
    internal const int TimedOut = 8;
    internal const int Findings = 9;
    internal const int Budget = 10;
    internal const int Loop = 11;
    internal const int Cancelled = 13;
    internal const int Deadline = 14;
    internal const int Draining = 20;

    /// <summary>A server that must be started anew: its lease or its storage is lost.</summary>
    internal const int Restart = 75;

    /// <summary>Of <c>sandbox exec</c> and <c>shell</c>, which pass on a command's own code: there is none.</summary>
    internal const int NoCommand = 125;
    internal const int Interrupted = 130;

    internal static int Of(Problem problem) => problem.Code switch
    {
        ErrorCodes.RequestInvalid when problem.Status == 404 => NotFound,
        ErrorCodes.RequestInvalid or ErrorCodes.InputInvalid or ErrorCodes.PayloadTooLarge or ErrorCodes.ToolArguments => Usage,
        ErrorCodes.ManifestInvalid or ErrorCodes.ScheduleInvalid or ErrorCodes.ConfigInvalid or ErrorCodes.ModelUnknown or ErrorCodes.ModelUnpriced or ErrorCodes.SandboxUnavailable
            or ErrorCodes.DataDirectoryInUse or ErrorCodes.DataDirectoryInvalid or ErrorCodes.DatabaseForeign or ErrorCodes.DatabaseCorrupt => Config,
        ErrorCodes.NotAllowed => NotAllowed,
        ErrorCodes.RunNotFound or ErrorCodes.AgentNotFound or ErrorCodes.ScheduleNotFound or ErrorCodes.SandboxNotFound or ErrorCodes.SnapshotNotFound => NotFound,
        ErrorCodes.RunEnded or ErrorCodes.RunConflict or ErrorCodes.IdempotencyMismatch or ErrorCodes.BlobMissing or ErrorCodes.KillSwitch or ErrorCodes.SnapshotRefused => Conflict,
        ErrorCodes.BudgetExceeded => Budget,
        ErrorCodes.Draining => Draining,
        _ => Failed,
    };

    /// <summary>How a run that came to rest ends the command that waited for it.</summary>
    internal static int Of(RunView run) => run.Status switch
    {
        RunStatus.Completed => Ok,
        RunStatus.Cancelled => Cancelled,
        RunStatus.Paused => run.Paused switch
        {
            PauseCause.Budget => run.LimitAt == LimitDimension.Deadline ? Deadline : Budget,
            PauseCause.Loop => Loop,
            _ => Failed,
        },
        _ => run.Failure?.Code switch
        {
            ErrorCodes.BudgetExceeded => Budget,
            ErrorCodes.DeadlineExceeded => Deadline,
            ErrorCodes.LoopDetected => Loop,
            _ => Failed,
        },
    };
}
