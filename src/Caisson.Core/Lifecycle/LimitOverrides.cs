using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Limits given with a request: checked, then put over the manifest's or raised on a live run.</summary>
internal static class LimitOverrides
{
    internal static (RaisedLimits Limits, Failure? Failure) Parse(RunOverrides given)
    {
        long? nano = null;
        if (given.Usd is { } usd)
        {
            if (!Money.TryParse(usd, out var parsed) || parsed <= 0)
                return (new(), Invalid("usd", usd, "a positive amount of US dollars with at most 9 decimals, as 0.05"));
            nano = parsed;
        }

        var numbers = new (string Name, long? Value, long Least)[]
        {
            ("tokens", given.Tokens, 1), ("input_tokens", given.InputTokens, 1), ("output_tokens", given.OutputTokens, 1),
            ("model_calls", given.ModelCalls, 1), ("steps", given.Steps, 1), ("tool_calls", given.ToolCalls, 1),
            ("children", given.Children, 0), ("child_breadth", given.ChildBreadth, 1), ("child_depth", given.ChildDepth, 0),
        };
        foreach (var (name, value, least) in numbers)
        {
            if (value < least)
                return (new(), Invalid(name, Plain(value.Value), least == 0 ? "0 or a positive whole number" : "a positive whole number"));
        }

        foreach (var (name, value) in new[] { ("deadline", given.Deadline), ("no_progress", given.NoProgress) })
        {
            if (value is { } time && (time <= TimeSpan.Zero || time > TimeSpan.FromDays(365)))
                return (new(), Invalid(name, time.ToString(), "more than 0 and at most 365 days"));
        }

        if (given.LoopRepeats is < 2)
            return (new(), Invalid("loop_repeats", Plain(given.LoopRepeats.Value), "2 or more"));
        return (new RaisedLimits(nano, given.Tokens, given.Steps, given.ToolCalls, given.Deadline, given.LoopRepeats)
        {
            ModelCalls = given.ModelCalls,
            InputTokens = given.InputTokens,
            OutputTokens = given.OutputTokens,
            Children = given.Children,
            ChildBreadth = given.ChildBreadth,
            ChildDepth = given.ChildDepth,
            NoProgress = given.NoProgress,
        }, null);
    }

    /// <param name="admin">Whether the caller may lift what the manifest caps. Anybody may lower it, and cap what has no cap.</param>
    internal static (AgentManifest Manifest, Failure? Failure) Apply(AgentManifest manifest, RunOverrides given, bool admin = true)
    {
        var (limits, failure) = Parse(given);
        if ((failure ?? (admin ? null : AboveCeiling(manifest, limits))) is { } refused)
            return (manifest, refused);
        return (manifest with
        {
            Limits = manifest.Limits.With(limits),
            LoopGuard = manifest.LoopGuard with { Repeats = limits.LoopRepeats ?? manifest.LoopGuard.Repeats },
        }, null);
    }

    /// <summary>The first limit that is given above the manifest's ceiling, for a caller who may not lift it; at creation as at a raise.</summary>
    internal static Failure? AboveCeiling(AgentManifest manifest, RaisedLimits given)
    {
        foreach (var dimension in Enum.GetValues<LimitDimension>())
        {
            if (manifest.Limits.Cap(dimension) is { } ceiling && given.Cap(dimension) is { } asked && asked > ceiling)
                return Above(dimension == LimitDimension.NanoUsd ? "usd" : Words.Of(dimension), LimitCaps.Text(dimension, asked), LimitCaps.Text(dimension, ceiling));
        }

        return given.LoopRepeats > manifest.LoopGuard.Repeats ? Above("loop_repeats", Plain(given.LoopRepeats.Value), Plain(manifest.LoopGuard.Repeats)) : null;

        static Failure Above(string key, string found, string ceiling) =>
            new(ErrorCodes.NotAllowed, $"limits.{key}: found '{found}', allowed is at most the manifest's {ceiling} without the role admin");
    }

    /// <summary>A run that stands at a limit needs that limit raised above what is gone.</summary>
    /// <param name="now">The deadline goes on while a run stands paused.</param>
    internal static Failure? StillReached(RunRecord run, RaisedLimits raise, DateTimeOffset now)
    {
        var summary = run.Summary;

        // What is left on a node above it, the next admission finds out.
        if (summary.LimitAbove is not null)
            return null;
        var age = now - run.CreatedAt;
        var (given, needs, text) = summary.LimitAt switch
        {
            // A pause counts from its end anew, and children end while it lasts: there may be room without a raise.
            null or LimitDimension.NoProgress or LimitDimension.ChildBreadth => (1, 0, ""),
            LimitDimension.Deadline => (raise.Deadline?.Ticks, age.Ticks + 1, $"{Durations.Text(TimeSpan.FromSeconds(Math.Ceiling(age.TotalSeconds)))} gone: resume it with --deadline above that"),
            LimitDimension.NanoUsd => Needs(LimitDimension.NanoUsd, run.Money.Spent, run.Money.Cap, "$" + Money.Text(run.Money.Spent)),
            LimitDimension.Tokens => Needs(LimitDimension.Tokens, run.Tokens.Spent, run.Tokens.Cap, $"{run.Tokens.Spent} tokens"),
            LimitDimension.InputTokens => Counted(LimitDimension.InputTokens, summary.InputTokens),
            LimitDimension.OutputTokens => Counted(LimitDimension.OutputTokens, summary.OutputTokens),
            LimitDimension.Steps => Counted(LimitDimension.Steps, summary.Steps),
            LimitDimension.ToolCalls => Counted(LimitDimension.ToolCalls, summary.ToolCalls),

            // The run's row has no figure of these, but what the denied step needed.
            { } other => Counted(other, (summary.LimitNeeds ?? 1) - 1),
        };
        return given >= needs ? null : new Failure(ErrorCodes.BudgetExceeded, $"run {run.Id} is paused at a limit with {text}");

        (long?, long, string) Counted(LimitDimension dimension, long gone) => Needs(dimension, gone, null, $"{gone} {Words.Of(dimension).Replace('_', ' ')}");

        (long?, long, string) Needs(LimitDimension dimension, long gone, long? cap, string goneText)
        {
            var least = Math.Max(summary.LimitNeeds ?? gone + 1, (cap ?? 0) + 1);
            return (raise.Cap(dimension), least, $"{goneText} gone: resume it with {LimitFlags.Of(dimension)} {LimitCaps.Text(dimension, least).TrimStart('$')} or more");
        }
    }

    private static string Plain(long count) => count.ToString(CultureInfo.InvariantCulture);

    private static Failure Invalid(string key, string found, string allowed) =>
        new(ErrorCodes.RequestInvalid, $"limits.{key}: found '{found}', allowed is {allowed}");
}
