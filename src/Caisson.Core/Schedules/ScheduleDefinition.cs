using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Cronos;

namespace Caisson.Core.Schedules;

/// <summary>A schedule that was read and checked. Stored as the caller wrote it, and read again each time it is needed.</summary>
internal sealed partial record ScheduleDefinition(
    string Name, ScheduleSpec Spec, ScheduleTimes Times, string TimeZone, OverlapPolicy Overlap, TimeSpan CatchUp, TimeSpan Jitter)
{
    /// <summary>The name in the manifest, where it was stored.</summary>
    internal string Agent { get; private init; } = "";

    /// <summary>Labels of the runs that a schedule starts.</summary>
    internal const string NameLabel = "schedule";
    internal const string TimeLabel = "schedule_time";

    /// <summary>In UTF-8. Less than a run's, because every look for due schedules reads it.</summary>
    internal const int MaxInputBytes = 64 << 10;

    private const int MaxLabels = 30;
    private const int MaxCronLength = 200;
    private const string LibrarysPreface = "The given cron expression has an invalid format. ";

    private static readonly (TimeSpan Least, TimeSpan Most) EveryRange = (TimeSpan.FromSeconds(1), TimeSpan.FromDays(366));
    private static readonly (TimeSpan Least, TimeSpan Most) CatchUpRange = (TimeSpan.FromSeconds(10), TimeSpan.FromDays(7));
    private static readonly (TimeSpan Least, TimeSpan Most) JitterRange = (TimeSpan.Zero, TimeSpan.FromDays(1));

    // Any moment will do: the library looks ahead for centuries, and the calendar repeats within four.
    private static readonly DateTimeOffset SomeYear = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    internal static (ScheduleDefinition? Definition, Failure? Failure) Read(string name, ScheduleSpec spec)
    {
        if (!NamePattern().IsMatch(name))
            return Bad(name, "name", name, "1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends");
        if (Sizes.Utf8(spec.Input) > MaxInputBytes)
            return (null, new Failure(ErrorCodes.PayloadTooLarge, $"schedule '{name}': the input has {Sizes.Utf8(spec.Input)} bytes, at most {MaxInputBytes} are allowed: let the agent fetch large data"));
        if (spec.Labels is { Count: > MaxLabels })
            return Bad(name, "labels", $"{spec.Labels.Count} labels", $"at most {MaxLabels}");
        foreach (var own in new[] { NameLabel, TimeLabel })
        {
            if (spec.Labels?.ContainsKey(own) == true)
                return Bad(name, "labels", own, "any key but those that the schedule itself sets");
        }

        if (spec.Start is { } start && spec.End is { } end && end <= start)
            return Bad(name, "end", end.ToString("u", CultureInfo.InvariantCulture), "a moment after start");
        var (times, failure) = ReadTimes(name, spec);
        if (times is null)
            return (null, failure);
        if (!TryWord(spec.Overlap, OverlapPolicy.Skip, out var overlap))
            return Bad(name, "overlap", spec.Overlap!, string.Join(", ", Enum.GetValues<OverlapPolicy>().Select(Words.Of)));
        if (!TryDuration(spec.CatchUp, TimeSpan.FromMinutes(1), CatchUpRange, out var catchUp))
            return BadDuration(name, "catchUp", spec.CatchUp!, CatchUpRange);
        if (!TryDuration(spec.Jitter, TimeSpan.Zero, JitterRange, out var jitter))
            return BadDuration(name, "jitter", spec.Jitter!, JitterRange);
        var zone = times is ScheduleTimes.Cron cron ? cron.Zone.Id : TimeZoneInfo.Utc.Id;
        return (new ScheduleDefinition(name, spec, times, zone, overlap, catchUp, jitter), null);
    }

    /// <summary>The run of one time.</summary>
    internal CreateRun CommandAt(DateTimeOffset time, string? idempotencyKey) => new(
        Spec.Manifest, Spec.ManifestFile ?? "manifest", Spec.Input, Spec.Limits ?? new RunOverrides(),
        new Dictionary<string, string>(Spec.Labels ?? new Dictionary<string, string>()) { [NameLabel] = Name, [TimeLabel] = ScheduleKey.Text(time) },
        idempotencyKey);

    /// <summary>What the store keeps of it.</summary>
    internal static byte[] Write(StoredSchedule schedule) => JsonSerializer.SerializeToUtf8Bytes(schedule, StoredScheduleJson.Default.StoredSchedule);

    internal static (ScheduleDefinition? Definition, Failure? Failure) Read(string name, ReadOnlyMemory<byte> stored)
    {
        try
        {
            if (JsonSerializer.Deserialize(stored.Span, StoredScheduleJson.Default.StoredSchedule) is not { Spec: { Manifest: not null, Input: not null } spec } schedule)
                return Bad(name, "definition", "no manifest or input", "what a server of this version stored: put the schedule again");
            var (definition, failure) = Read(name, spec);
            return (definition is null ? null : definition with { Agent = schedule.Agent ?? "" }, failure);
        }
        catch (JsonException e)
        {
            return Bad(name, "definition", e.Message, "what a server of this version stored: put the schedule again");
        }
    }

    private static (ScheduleTimes? Times, Failure? Failure) ReadTimes(string name, ScheduleSpec spec)
    {
        if (spec.Cron is null == spec.Every is null)
            return (null, Problem(name, "cron", spec.Cron is null ? "neither cron nor every" : "both cron and every", "exactly one of cron and every"));
        return spec.Every is { } every ? ReadEvery(name, every, spec) : ReadCron(name, spec.Cron!, spec);
    }

    private static (ScheduleTimes? Times, Failure? Failure) ReadEvery(string name, string every, ScheduleSpec spec)
    {
        if (spec.TimeZone is { } zone)
            return (null, Problem(name, "timeZone", zone, "a time zone with cron only: a distance is the same everywhere"));
        if (!TryDuration(every, default, EveryRange, out var distance) || distance.Ticks % TimeSpan.TicksPerSecond != 0)
            return (null, Problem(name, "every", every, $"a duration in whole seconds from {Durations.Text(EveryRange.Least)} to {Durations.Text(EveryRange.Most)}, as 30s, 15m, 2h, 1d"));
        return (new ScheduleTimes.Interval(distance, spec.Start?.ToUniversalTime(), spec.End?.ToUniversalTime()), null);
    }

    private static (ScheduleTimes? Times, Failure? Failure) ReadCron(string name, string text, ScheduleSpec spec)
    {
        const string allowed = "five fields (minute, hour, day of month, month, day of week), or six with seconds first, as '0 9 * * 1-5'";
        var fields = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (text.Length > MaxCronLength || fields.Length is not (5 or 6))
            return (null, Problem(name, "cron", text, allowed));
        if (Zone(spec.TimeZone) is not { } zone)
            return (null, Problem(name, "timeZone", spec.TimeZone!, "an IANA name that this machine's time zone database has, as Europe/Berlin"));
        CronExpression cron;
        try
        {
            cron = CronExpression.Parse(string.Join(' ', fields), fields.Length == 6 ? CronFormat.IncludeSeconds : CronFormat.Standard);
        }
        catch (Exception e) when (e is CronFormatException or MissingSeedException)
        {
            return (null, Problem(name, "cron", text, $"{allowed} ({e.Message.Replace(LibrarysPreface, "", StringComparison.Ordinal)})"));
        }

        if (cron.GetNextOccurrence(SomeYear, zone) is null)
            return (null, Problem(name, "cron", text, "an expression that some date fits: the calendar has none for this one"));
        return (new ScheduleTimes.Cron(cron, zone, spec.Start?.ToUniversalTime(), spec.End?.ToUniversalTime()), null);
    }

    /// <summary>Names of the database's other files, which follow this machine or count leap seconds, are no zones.</summary>
    private static TimeZoneInfo? Zone(string? id) =>
        id is null ? TimeZoneInfo.Utc
        : ZonePattern().IsMatch(id) && TimeZoneInfo.TryFindSystemTimeZoneById(id, out var zone) ? zone
        : null;

    private static bool TryWord(string? text, OverlapPolicy otherwise, out OverlapPolicy value)
    {
        value = otherwise;
        if (text is null)
            return true;
        value = Enum.GetValues<OverlapPolicy>().FirstOrDefault(policy => Words.Of(policy) == text);
        return value != default;
    }

    private static bool TryDuration(string? text, TimeSpan otherwise, (TimeSpan Least, TimeSpan Most) range, out TimeSpan value)
    {
        value = otherwise;
        return text is null || (Durations.TryParse(text, out value) && value >= range.Least && value <= range.Most);
    }

    private static (ScheduleDefinition?, Failure?) BadDuration(string name, string key, string found, (TimeSpan Least, TimeSpan Most) range) =>
        Bad(name, key, found, $"a duration from {Durations.Text(range.Least)} to {Durations.Text(range.Most)}, as 500ms, 30s, 15m, 2h");

    private static (ScheduleDefinition?, Failure?) Bad(string name, string key, string found, string allowed) => (null, Problem(name, key, found, allowed));

    private static Failure Problem(string name, string key, string found, string allowed) =>
        new(ErrorCodes.ScheduleInvalid, $"schedule '{PlainText.Line(name, 64)}': {key}: found '{PlainText.Line(found, 300)}', allowed is {allowed}");

    [GeneratedRegex(@"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z")]
    private static partial Regex NamePattern();

    [GeneratedRegex(@"^(?!right/|posix/|localtime$|posixrules$|Factory$)[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*\z", RegexOptions.IgnoreCase)]
    private static partial Regex ZonePattern();
}

internal sealed record StoredSchedule(ScheduleSpec Spec, string? Agent);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StoredSchedule))]
internal sealed partial class StoredScheduleJson : JsonSerializerContext;
