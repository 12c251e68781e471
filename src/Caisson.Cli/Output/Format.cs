using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;

namespace Caisson.Cli.Output;

/// <summary>Figures and names as people read them.</summary>
internal static class Format
{
    internal static string Word<T>(T value) where T : struct, Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    internal static string Status(RunView run) => run.Status switch
    {
        RunStatus.Waiting when run.Waiting != WaitReason.None => $"waiting ({Word(run.Waiting)})",
        RunStatus.Paused when run.Paused != PauseCause.None => $"paused ({Word(run.Paused)})",
        _ => Word(run.Status),
    };

    internal static string Duration(TimeSpan time) => time switch
    {
        { TotalMilliseconds: < 0 } => "0ms",
        { TotalSeconds: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0}ms"),
        { TotalMinutes: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0}s"),
        { TotalHours: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes}m{time.Seconds:00}s"),
        { TotalDays: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}h{time.Minutes:00}m"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalDays}d{time.Hours:00}h"),
    };

    internal static string Count(long value) => value switch
    {
        < 10_000 => value.ToString(CultureInfo.InvariantCulture),
        < 10_000_000 => string.Create(CultureInfo.InvariantCulture, $"{value / 1000.0:0.#}k"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value / 1_000_000.0:0.#}M"),
    };

    internal static string Bytes(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.#} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.#} MiB"),
        >= 1L << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 10):0.#} KiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
    };

    internal static string Usd(long nano) => "$" + (nano / 1_000_000_000m).ToString("0.00#######", CultureInfo.InvariantCulture);

    /// <summary>Enough of an id to be unique in practice: its time to the millisecond and twelve random bits.</summary>
    internal static string ShortId(string id) => id.Length > 18 ? id[..18] : id;

    internal static string Time(DateTimeOffset at) => at.ToLocalTime().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);

    internal static string Plural(long count, string word) => string.Create(CultureInfo.InvariantCulture, $"{Count(count)} {word}{(count == 1 ? "" : "s")}");
}
