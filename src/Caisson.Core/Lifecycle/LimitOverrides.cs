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

        foreach (var (name, value) in new[] { ("tokens", given.Tokens), ("steps", given.Steps), ("tool_calls", given.ToolCalls) })
        {
            if (value is <= 0)
                return (new(), Invalid(name, value.Value.ToString(CultureInfo.InvariantCulture), "a positive whole number"));
        }

        if (given.Deadline is { } deadline && (deadline <= TimeSpan.Zero || deadline > TimeSpan.FromDays(365)))
            return (new(), Invalid("deadline", deadline.ToString(), "more than 0 and at most 365 days"));
        if (given.LoopRepeats is < 2)
            return (new(), Invalid("loop_repeats", given.LoopRepeats.Value.ToString(CultureInfo.InvariantCulture), "2 or more"));
        return (new RaisedLimits(nano, given.Tokens, given.Steps, given.ToolCalls, given.Deadline, given.LoopRepeats), null);
    }

    internal static (AgentManifest Manifest, Failure? Failure) Apply(AgentManifest manifest, RunOverrides given)
    {
        var (limits, failure) = Parse(given);
        if (failure is not null)
            return (manifest, failure);
        var own = manifest.Limits;
        return (manifest with
        {
            Limits = own with
            {
                NanoUsd = limits.NanoUsd ?? own.NanoUsd,
                Tokens = limits.Tokens ?? own.Tokens,
                Steps = limits.Steps ?? own.Steps,
                ToolCalls = limits.ToolCalls ?? own.ToolCalls,
                Deadline = limits.Deadline ?? own.Deadline,
            },
            LoopGuard = manifest.LoopGuard with { Repeats = limits.LoopRepeats ?? manifest.LoopGuard.Repeats },
        }, null);
    }

    /// <summary>A run that stands at a limit needs that limit raised above what is gone.</summary>
    /// <param name="now">The deadline goes on while a run stands paused.</param>
    internal static Failure? StillReached(RunRecord run, RaisedLimits raise, DateTimeOffset now)
    {
        var summary = run.Summary;
        var age = now - run.CreatedAt;
        var (_, given, needs, text) = summary.LimitAt switch
        {
            LimitDimension.NanoUsd => Needs("--budget-usd", raise.NanoUsd, run.Money.Spent, run.Money.Cap, "$" + Money.Text(run.Money.Spent), nano => "$" + Money.Text(nano)),
            LimitDimension.Tokens => Needs("--budget-tokens", raise.Tokens, run.Tokens.Spent, run.Tokens.Cap, $"{run.Tokens.Spent} tokens", Plain),
            LimitDimension.Steps => Needs("--max-steps", raise.Steps, summary.Steps, null, $"{summary.Steps} steps", Plain),
            LimitDimension.ToolCalls => Needs("--max-tool-calls", raise.ToolCalls, summary.ToolCalls, null, $"{summary.ToolCalls} tool calls", Plain),
            LimitDimension.Deadline => ("--deadline", raise.Deadline?.Ticks, age.Ticks + 1, $"{Durations.Text(TimeSpan.FromSeconds(Math.Ceiling(age.TotalSeconds)))} gone: resume it with --deadline above that"),
            _ => ("", 1, 0, ""),
        };
        return given >= needs ? null : new Failure(ErrorCodes.BudgetExceeded, $"run {run.Id} is paused at a limit with {text}");

        (string, long?, long, string) Needs(string flag, long? given, long gone, long? cap, string goneText, Func<long, string> show)
        {
            var least = Math.Max(summary.LimitNeeds ?? gone + 1, (cap ?? 0) + 1);
            return (flag, given, least, $"{goneText} gone: resume it with {flag} {show(least).TrimStart('$')} or more");
        }
    }

    private static string Plain(long count) => count.ToString(CultureInfo.InvariantCulture);

    private static Failure Invalid(string key, string found, string allowed) =>
        new(ErrorCodes.RequestInvalid, $"limits.{key}: found '{found}', allowed is {allowed}");
}
