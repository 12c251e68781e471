using System.Globalization;
using Caisson.Core;
using Caisson.Core.Retention;
using Caisson.Storage.Sqlite.Disk;

namespace Caisson.Server.Configuration;

/// <summary>The section <c>[storage]</c>: what a data directory keeps, how, and for how long.</summary>
public sealed class StorageOptions
{
    internal const string Keys = "storage.key_file, .min_free, .ballast, .keep_ended, .sweep_every";

    private const long MostBytes = 1L << 50;
    private static readonly TimeSpan ShortestSweep = TimeSpan.FromMinutes(1);

    /// <summary>A file with the 32 bytes that content is sealed with, as base64 or hexadecimal digits. Default: nothing is sealed.</summary>
    public string? KeyFile { get; set; }

    /// <summary>Free space below which no new work begins. Default: 2 GiB or 5 % of the disk, whichever is more.</summary>
    public long? MinFree { get; set; }

    /// <summary>Space kept back for what must still be written on a full disk. Default 64 MiB; 0MiB keeps none.</summary>
    public long Ballast { get; set; } = DiskGuardOptions.DefaultBallast;

    /// <summary>How long an ended run is kept. Default 30 days; <c>null</c> for ever.</summary>
    public TimeSpan? KeepEnded { get; set; } = new RetentionOptions().KeepEnded;

    /// <summary>How often ended runs and unused blobs are removed. Default 1 h; <c>null</c> never.</summary>
    public TimeSpan? SweepEvery { get; set; } = new RetentionOptions().SweepEvery;

    /// <summary>What is wrong with the setting, or <c>null</c>.</summary>
    internal string? Apply(string key, string text)
    {
        switch (key)
        {
            case "key_file":
                if (text.Length == 0 || text.Contains('\0', StringComparison.Ordinal))
                    return "found an empty path, allowed is a path";
                KeyFile = Path.GetFullPath(text);
                return null;
            case "min_free":
                return Size(text, value => MinFree = value);
            case "ballast":
                return Size(text, value => Ballast = value);
            case "keep_ended":
                return Duration(text, TimeSpan.Zero, value => KeepEnded = value);
            case "sweep_every":
                return Duration(text, ShortestSweep, value => SweepEvery = value);
            default:
                return $"unknown key; known are {Keys}";
        }
    }

    private static string? Size(string text, Action<long> use)
    {
        if (!Sizes.TryParse(text, out var value) || value > MostBytes)
            return $"found '{text}', allowed is a size as 0MiB, 512MiB or 10GiB";
        use(value);
        return null;
    }

    private static string? Duration(string text, TimeSpan least, Action<TimeSpan?> use)
    {
        if (text == "off")
        {
            use(null);
            return null;
        }

        if (!Durations.TryParse(text, out var value) || value < least)
            return string.Create(CultureInfo.InvariantCulture, $"found '{text}', allowed is off, or a duration of at least {Durations.Text(least)} as 12h or 30d");
        use(value);
        return null;
    }
}
