using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary>Schedules as people read them.</summary>
internal static class ScheduleText
{
    /// <summary>How a schedule stands after a change.</summary>
    internal static void Report(CommandContext context, ScheduleView schedule)
    {
        if (context.IsJson)
            context.Json(schedule, ScheduleJson.Default.ScheduleView);
        else
            context.Terminal.WriteLine($"{schedule.Name} is {State(schedule)}{(schedule.Next is [var next, ..] ? ": next at " + Time(next) : "")}");
    }

    internal static void Draw(CommandContext context, IReadOnlyList<ScheduleView> schedules)
    {
        var wide = context.Format == OutputFormat.Wide;
        string[] columns = ["SCHEDULE", "AGENT", "STATE", "WHEN", "NEXT", "LAST RUN"];
        if (wide)
            columns = [.. columns, "LAST TIME", "ZONE", "OVERLAP", "CATCH-UP", "JITTER", "GENERATION", "DETAIL"];
        context.Table.Rows(columns, schedules.Select(schedule => Row(schedule, wide)));
    }

    internal static IEnumerable<(string, string)> Describe(ScheduleView schedule)
    {
        yield return ("schedule", schedule.Name);
        yield return ("agent", schedule.Agent);
        yield return ("state", State(schedule));
        if (schedule.Detail is { } detail)
            yield return ("detail", detail);
        yield return ("when", schedule.Cron is null ? When(schedule) : $"{When(schedule)} ({schedule.TimeZone})");
        if (schedule.Start is { } start)
            yield return ("start", Time(start));
        if (schedule.End is { } end)
            yield return ("end", Time(end));
        yield return ("overlap", Format.Word(schedule.Overlap));
        yield return ("catch-up", schedule.CatchUp);
        yield return ("jitter", schedule.Jitter);
        if (schedule.LastRun is { } last)
            yield return ("last run", $"{last}{(schedule.LastAt is { } at ? " for " + Time(at) : "")}");
        foreach (var next in schedule.Next)
            yield return ("next", Time(next));
        yield return ("generation", schedule.Generation.ToString(CultureInfo.InvariantCulture));
        foreach (var (key, value) in schedule.Spec?.Labels ?? new Dictionary<string, string>())
            yield return ("label", $"{key}={value}");
    }

    private static string[] Row(ScheduleView schedule, bool wide)
    {
        string[] cells =
        [
            schedule.Name, schedule.Agent, State(schedule), When(schedule), schedule.Next is [var next, ..] ? Time(next) : "",
            schedule.LastRun is { } last ? wide ? last : Format.ShortId(last) : "",
        ];
        return !wide ? cells :
        [
            .. cells, schedule.LastAt is { } at ? Time(at) : "", schedule.TimeZone, Format.Word(schedule.Overlap), schedule.CatchUp, schedule.Jitter,
            schedule.Generation.ToString(CultureInfo.InvariantCulture), schedule.Detail ?? "",
        ];
    }

    private static string When(ScheduleView schedule) => schedule.Cron ?? (schedule.Every is null ? "" : $"every {schedule.Every}");

    private static string State(ScheduleView schedule) => schedule.Paused ? "paused" : schedule.Next.Count == 0 ? "over" : "active";

    private static string Time(DateTimeOffset at) => at.ToUniversalTime().ToString("u", CultureInfo.InvariantCulture);
}
