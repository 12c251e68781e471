using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>Body of <c>PUT /v1/schedules/{name}</c>: what is started, and when. Durations are texts as <c>90s</c>, <c>15m</c>, <c>2h</c>.</summary>
/// <param name="Manifest">The agent's manifest, YAML text.</param>
/// <param name="ManifestFile">Its file name, for error messages.</param>
/// <param name="Cron">Five fields, or six with seconds first. Either this or <paramref name="Every"/>.</param>
/// <param name="Every">A fixed distance, counted from <paramref name="Start"/> or else from 1970 in UTC.</param>
/// <param name="TimeZone">IANA name in which <paramref name="Cron"/> is read. Default <c>UTC</c>.</param>
/// <param name="Overlap">A word of <see cref="OverlapPolicy"/>. Default <c>skip</c>.</param>
/// <param name="CatchUp">How late a time may still start its run. Default <c>1m</c>.</param>
/// <param name="Jitter">Up to how much later than its time a run starts, the same for the same time. Default none.</param>
/// <param name="Start">No time before it. Default: from now on.</param>
/// <param name="End">No time after it. Default: for ever.</param>
/// <param name="Paused">Default: as it was, and a new schedule is not paused.</param>
public sealed record ScheduleSpec(
    string Manifest,
    string? ManifestFile,
    string Input,
    RunOverrides? Limits = null,
    IReadOnlyDictionary<string, string>? Labels = null,
    string? Cron = null,
    string? Every = null,
    string? TimeZone = null,
    string? Overlap = null,
    string? CatchUp = null,
    string? Jitter = null,
    DateTimeOffset? Start = null,
    DateTimeOffset? End = null,
    bool? Paused = null);

/// <summary>What happens when a time comes while the run of the time before has not ended.</summary>
[JsonConverter(typeof(WordConverter<OverlapPolicy>))]
public enum OverlapPolicy
{
    /// <summary>The time is passed over.</summary>
    Skip = 1,
    /// <summary>It waits for the end of that run. Only the latest time waits.</summary>
    Queue = 2,
    /// <summary>That run is cancelled and the new one starts.</summary>
    CancelOld = 3,
    /// <summary>Both run.</summary>
    Allow = 4,
}

/// <summary>A schedule as the API shows it.</summary>
public sealed record ScheduleView
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
    public required string Name { get; init; }

    /// <summary>The agent that its manifest describes.</summary>
    public required string Agent { get; init; }

    /// <summary>Rises with every change of the schedule.</summary>
    public long Generation { get; init; }
    public string? Cron { get; init; }
    public string? Every { get; init; }
    public required string TimeZone { get; init; }
    public required OverlapPolicy Overlap { get; init; }
    public required string CatchUp { get; init; }
    public required string Jitter { get; init; }
    public DateTimeOffset? Start { get; init; }
    public DateTimeOffset? End { get; init; }
    public required bool Paused { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>The nominal times to come, in UTC and without their jitter: the next one in a list, the next five of a single schedule.</summary>
    public required IReadOnlyList<DateTimeOffset> Next { get; init; }

    /// <summary>The run of the last time that started one.</summary>
    public string? LastRun { get; init; }
    public DateTimeOffset? LastAt { get; init; }

    /// <summary>One line for people: what keeps it from starting a run now.</summary>
    public string? Detail { get; init; }

    /// <summary>As it was put; not in lists.</summary>
    public ScheduleSpec? Spec { get; init; }
}

public sealed record ScheduleList(IReadOnlyList<ScheduleView> Items)
{
    /// <summary>Version of this shape.</summary>
    public int Schema { get; init; } = 1;
}

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ScheduleSpec))]
[JsonSerializable(typeof(ScheduleView))]
[JsonSerializable(typeof(ScheduleList))]
public sealed partial class ScheduleJson : JsonSerializerContext;
