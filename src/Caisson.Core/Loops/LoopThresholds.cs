using Caisson.Contracts;

namespace Caisson.Core.Loops;

/// <summary>When each signal warns and when it acts. Data: defaults here, the rest from the manifest.</summary>
internal sealed record LoopThresholds
{
    // Exact repeats act. The others are guesses about meaning, and only warn until a policy says otherwise.
    internal LoopRule Repeat { get; init; } = new(3, 8, LoopSignalPolicy.Act);
    internal LoopRule SameCall { get; init; } = new(10, 30, LoopSignalPolicy.Warn);
    internal LoopRule Cycle { get; init; } = new(2, 4, LoopSignalPolicy.Act);
    internal LoopRule Error { get; init; } = new(4, 8, LoopSignalPolicy.Warn);
    internal LoopRule Stale { get; init; } = new(15, 40, LoopSignalPolicy.Warn);
    internal LoopRule Request { get; init; } = new(3, 6, LoopSignalPolicy.Act);
    internal LoopRule Rate { get; init; } = new(60, 240, LoopSignalPolicy.Warn);
    internal LoopRule Stream { get; init; } = new(6, 10, LoopSignalPolicy.Warn);

    internal IReadOnlyList<string> Exempt { get; init; } = [];

    internal static readonly LoopThresholds Default = new();

    /// <param name="repeats">Given for this run, in place of the manifest's.</param>
    internal static LoopThresholds Of(LoopGuardSettings settings, int? repeats = null)
    {
        return new LoopThresholds
        {
            Repeat = Rule(Default.Repeat with { Act = repeats ?? settings.Repeats }, settings.Repeat),
            SameCall = Rule(Default.SameCall, settings.SameCall),
            Cycle = Rule(Default.Cycle, settings.Cycle),
            Error = Rule(Default.Error, settings.Error),
            Stale = Rule(Default.Stale, settings.Stale),
            Request = Rule(Default.Request, settings.Request),
            Rate = Rule(Default.Rate, settings.Rate),
            Stream = Rule(Default.Stream, settings.Stream),
            Exempt = settings.Exempt ?? [],
        };

        // Where nothing acts on a loop the guard knows it, and warns less and less often instead of at every turn.
        LoopRule Rule(LoopRule otherwise, LoopThreshold? given) =>
            new(given?.Warn ?? otherwise.Warn, given?.Act ?? otherwise.Act, settings.OnLoop == LoopPolicy.Warn ? LoopSignalPolicy.Warn : given?.Policy ?? otherwise.Policy);
    }
}

internal readonly record struct LoopRule(int Warn, int Act, LoopSignalPolicy Policy)
{
    internal bool Acts => Policy == LoopSignalPolicy.Act;

    /// <summary>Nothing acts before it may warn.</summary>
    internal int FirstWarning => Acts ? Math.Min(Warn, Act) : Warn;

    internal LoopRule Times(int factor) =>
        this with { Warn = (int)Math.Min(int.MaxValue, (long)Warn * factor), Act = (int)Math.Min(int.MaxValue, (long)Act * factor) };
}

internal static class LoopSignals
{
    internal const string Repeat = "repeat";
    internal const string SameCall = "same_call";
    internal const string Cycle = "cycle";
    internal const string Error = "error";
    internal const string Stale = "stale";
    internal const string Request = "request";
    internal const string Rate = "rate";
    internal const string Stream = "stream";
}

internal enum LoopLevel
{
    None = 0,
    Warn = 1,
    Act = 2,
}

/// <param name="Signal">One of <see cref="LoopSignals"/>.</param>
/// <param name="Tool">The tool last called; empty where the signal is about requests to the model.</param>
/// <param name="Count">How often it came.</param>
/// <param name="Period">Calls in one round of a cycle, else 1.</param>
internal sealed record LoopVerdict(LoopLevel Level, string Signal, string Tool, int Count, int Period)
{
    internal static readonly LoopVerdict None = new(LoopLevel.None, "", "", 0, 0);

    /// <summary>What was seen, for people.</summary>
    internal string Text() => Signal switch
    {
        LoopSignals.Repeat => $"'{Tool}' was called {Count} times in a row with the same arguments and the same result",
        LoopSignals.SameCall => $"'{Tool}' was called {Count} times with the same arguments, each time with another result",
        LoopSignals.Cycle => $"the same {Period} calls came {Count} times in turn with the same results",
        LoopSignals.Error => $"the same error came {Count} times in a row, last from '{Tool}'",
        LoopSignals.Stale => $"the last {Count} calls brought nothing new",
        LoopSignals.Request => $"the same request was sent to the model {Count} times in a row",
        LoopSignals.Stream => $"one answer of the model repeated the same passage {Count} times",
        LoopSignals.Rate => $"{Count} model calls were made within a minute",
        _ => "",
    };

    /// <summary>A word to the model, or nothing.</summary>
    internal string? Note() => Level == LoopLevel.None ? null : $"[caisson: {Text()}. Try something else, or finish.]";
}
