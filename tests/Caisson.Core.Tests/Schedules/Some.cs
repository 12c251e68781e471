using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Schedules;

/// <summary>Schedules and moments in few words.</summary>
internal static class Some
{
    internal const string Manifest = "name: talker\nloop:\n  model: mock/quick\n  instructions: Answer.\n";

    internal static readonly Guid Uid = Guid.Parse("0190a000-0000-7000-8000-000000000001");

    internal static readonly RunId Run = RunId.Parse("0190a000-0000-7000-8000-0000000000aa");

    internal static ScheduleSpec Cron(string cron, string? zone = null) => new(Manifest, "agent.yaml", "hi", Cron: cron, TimeZone: zone);

    internal static ScheduleSpec Every(string distance) => new(Manifest, "agent.yaml", "hi", Every: distance);

    internal static ScheduleDefinition Definition(ScheduleSpec spec)
    {
        var (definition, failure) = ScheduleDefinition.Read("nightly", spec);
        Assert.Null(failure);
        return definition!;
    }

    internal static ScheduleRecord Record(DateTimeOffset? next) => new("nightly", Uid, 1, default, default, next, false, null, null);

    /// <summary><c>2026-03-29 00:30</c>, with seconds where it has them, in UTC.</summary>
    internal static DateTimeOffset Utc(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);

    internal static string Text(DateTimeOffset? at) => at?.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) ?? "never";

    /// <summary>The nominal times from a moment on.</summary>
    internal static IEnumerable<DateTimeOffset> TimesFrom(ScheduleTimes times, DateTimeOffset from)
    {
        for (var at = times.AtOrAfter(from); at is { } time; at = times.After(time))
            yield return time;
    }
}
