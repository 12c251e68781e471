namespace Caisson.Core.Lifecycle;

/// <summary>What an operator sets of the engine.</summary>
public sealed class EngineOptions
{
    /// <summary>
    /// Runs that this server drives at the same time; more wait as ready. Default 2,000. Fewer bound memory and the
    /// number of boxes, more only help runs that wait for slow models. An eighth, at least one of two or more, is kept for
    /// runs with a parent.
    /// </summary>
    public int MaxConcurrentRuns { get; set; } = 2_000;

    /// <summary>
    /// How long a run that only waits stays in memory, its box frozen, before it is unloaded. Default 60 s. Shorter
    /// saves memory and boxes; longer saves the replay that brings it back.
    /// </summary>
    public TimeSpan HoldWaiting { get; set; } = TimeSpan.FromSeconds(60);

    public string? Problem() =>
        MaxConcurrentRuns is < 1 or > 100_000 ? $"engine.max_concurrent_runs: found {MaxConcurrentRuns}, allowed is 1 to 100000" : null;
}
