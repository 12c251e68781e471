using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core.Budgets;

namespace Caisson.Cli.Commands;

/// <summary>Says how a run came to rest: its result on stdout, one line about it on stderr.</summary>
internal static class RunReport
{
    internal static int Write(CommandContext context, RunView run)
    {
        if (context.IsJson)
            context.Json(run, ApiJson.Default.RunView);
        else if (run.Status == RunStatus.Completed && run.Result is { } result)
            context.Terminal.WriteForeign(result);
        context.Terminal.Flush();

        context.Progress(Summary(run, context.Shell.Clock.GetUtcNow()));
        if (Remedy(run) is { } remedy)
            context.Note(remedy);
        return ExitCodes.Of(run);
    }

    internal static string Summary(RunView run, DateTimeOffset now)
    {
        var parts = new List<string>
        {
            $"run {run.Id} is {Format.Status(run)}",
            Format.Plural(run.Steps, "step"),
            Format.Plural(run.InputTokens + run.OutputTokens, "token"),
            $"${run.SpentUsd}",
            Format.Duration((run.EndedAt ?? now) - run.CreatedAt),
        };
        if (run.Epoch > 1)
            parts.Add($"resumed {Format.Plural(run.Epoch - 1, "time")}");
        return string.Join(" · ", parts);
    }

    /// <summary>Why the run did not complete, and what to do.</summary>
    private static string? Remedy(RunView run) => run switch
    {
        { Status: RunStatus.Failed } => $"failed: {run.Failure?.Message ?? run.Detail ?? "without a cause"} ({run.Failure?.Code ?? ErrorCodes.Internal}); 'caisson trace {run.Id}' shows where",
        { Status: RunStatus.Cancelled } => $"cancelled{(run.Detail is null ? "" : ": " + run.Detail)}",
        { Status: RunStatus.Paused, Paused: PauseCause.Budget, LimitAbove: { } above } => $"paused: {run.Detail}; raise it with 'caisson budget set {above}{CapFlag(run)} N', then 'caisson resume {run.Id}'",
        { Status: RunStatus.Paused } => $"paused: {run.Detail ?? Format.Word(run.Paused)}; 'caisson resume {run.Id}{Flag(run)}' lets it go on",
        _ => null,
    };

    private static string CapFlag(RunView run) => run.LimitAt is { } limit ? " --" + (limit == LimitDimension.NanoUsd ? "usd" : Format.Word(limit).Replace('_', '-')) : "";

    private static string Flag(RunView run) => run is { Paused: PauseCause.Budget, LimitAt: { } limit }
        ? $" {LimitFlags.Of(limit)} {(limit is LimitDimension.Deadline or LimitDimension.NoProgress ? "TIME" : "N")}"
        : "";
}
