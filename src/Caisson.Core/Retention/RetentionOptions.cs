namespace Caisson.Core.Retention;

/// <summary>What an operator sets of the end of stored things.</summary>
public sealed class RetentionOptions
{
    /// <summary>How long an ended run is kept with its journal and its files. Default 30 days; <c>null</c> for ever.</summary>
    public TimeSpan? KeepEnded { get; init; } = TimeSpan.FromDays(30);

    /// <summary>How often ended runs are looked for and blobs swept. Default 1 h; <c>null</c> never, and the disk only fills.</summary>
    public TimeSpan? SweepEvery { get; init; } = TimeSpan.FromHours(1);
}
