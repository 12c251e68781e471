using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>Which pauses a retry ends. Pure.</summary>
internal static class RetryRule
{
    /// <summary>Why not, with the verb that fits; <c>null</c> where a retry is right.</summary>
    /// <param name="unknowns">Steps that wait for a person.</param>
    internal static Failure? Check(RunRecord run, IReadOnlyList<OpenUnknown> unknowns) => run switch
    {
        { Status: RunStatus.Completed or RunStatus.Failed or RunStatus.Cancelled } =>
            new Failure(ErrorCodes.RunEnded, $"run {run.Id} is {Words.Of(run.Status)}: 'caisson fork {run.Id}' starts another that goes on from it"),
        { Status: not RunStatus.Paused } =>
            Conflict($"run {run.Id} is {Words.Of(run.Status)}, not paused: 'caisson why {run.Id}' says what it waits for"),
        { Paused: PauseCause.Unknown } when unknowns is [var step, ..] =>
            Conflict($"run {run.Id} waits for a word about step {WhyRun.Key(step.Key)}: 'caisson resolve {run.Id} {WhyRun.Key(step.Key)}' with --done, --not-done or --skip"),
        { Paused: PauseCause.RetryExhausted or PauseCause.Poison or PauseCause.Drift or PauseCause.Version or PauseCause.Unknown or PauseCause.Restored or PauseCause.Corrupt } =>
            null,
        { Paused: PauseCause.Budget } =>
            Conflict($"run {run.Id} stands at a limit: 'caisson resume {run.Id}' with that limit raised; 'caisson why {run.Id}' says which"),
        _ => Conflict($"run {run.Id} is paused by {Words.Of(run.Paused)}, not by a trouble: 'caisson resume {run.Id}' lets it go on"),
    };

    private static Failure Conflict(string message) => new(ErrorCodes.RunConflict, message);
}
