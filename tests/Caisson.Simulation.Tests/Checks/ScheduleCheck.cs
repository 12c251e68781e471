using Caisson.Core.InMemory;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>A nominal time starts one run.</summary>
internal static class ScheduleCheck
{
    internal static (string, string)? Fired(Commit commit)
    {
        if (commit is not { Request: ScheduleFire { Run: { } started } } || ReferenceEquals(commit.Before, commit.After) || TimeOf(commit.After.Find(started.Id)) is not { } time)
            return null;
        var count = commit.After.Runs.Values.Count(run => TimeOf(run) == time);
        return count == 1 ? null : ("I10", $"{count} runs were started for {time}");
    }

    private static string? TimeOf(MemoryRun? run) => run?.Record.Summary.Labels.GetValueOrDefault(ScheduleDefinition.TimeLabel);
}
