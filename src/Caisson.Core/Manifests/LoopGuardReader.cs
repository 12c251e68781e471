using Caisson.Contracts;
using Caisson.Core.Loops;

namespace Caisson.Core.Manifests;

/// <summary>Reads <c>loop_guard</c>: one section for each signal. What is written as it is by default is left out, so that equal meaning has an equal hash.</summary>
internal static class LoopGuardReader
{
    private const int MaxExempt = 64;
    private const int MaxCount = 10_000;
    private const int MaxRepeats = 1_000;

    internal static LoopGuardSettings Read(YamlSection guard)
    {
        guard.Allow("on_loop", "repeats", "exempt", LoopSignals.Repeat, LoopSignals.SameCall, LoopSignals.Cycle, LoopSignals.Error, LoopSignals.Stale, LoopSignals.Request, LoopSignals.Rate, LoopSignals.Stream);
        var defaults = new LoopGuardSettings();
        var rules = LoopThresholds.Default;
        var repeats = (int?)guard.Whole("repeats", 2, MaxRepeats);
        var repeat = Threshold(guard, LoopSignals.Repeat, repeats is { } given ? rules.Repeat with { Act = given } : rules.Repeat, MaxRepeats, actIsGiven: repeats is not null);
        return new LoopGuardSettings
        {
            OnLoop = guard.Word("on_loop", defaults.OnLoop),
            Repeats = repeat?.Act ?? repeats ?? defaults.Repeats,
            Repeat = repeat is { Warn: not null } or { Policy: not null } ? repeat with { Act = null } : null,
            Exempt = Exempt(guard),
            SameCall = Threshold(guard, LoopSignals.SameCall, rules.SameCall),
            Cycle = Threshold(guard, LoopSignals.Cycle, rules.Cycle),
            Error = Threshold(guard, LoopSignals.Error, rules.Error),
            Stale = Threshold(guard, LoopSignals.Stale, rules.Stale),
            Request = Threshold(guard, LoopSignals.Request, rules.Request),
            Rate = Threshold(guard, LoopSignals.Rate, rules.Rate),
            Stream = Threshold(guard, LoopSignals.Stream, rules.Stream, StreamRepeats.MostCounted),
        };
    }

    /// <param name="actIsGiven"><c>repeats</c> says it already.</param>
    private static LoopThreshold? Threshold(YamlSection guard, string signal, LoopRule rule, int most = MaxCount, bool actIsGiven = false)
    {
        if (guard.Section(signal) is not { } section)
            return null;
        section.Allow("warn", "act", "policy");
        var warn = (int?)section.Whole("warn", 2, most);
        var act = (int?)section.Whole("act", 2, most);
        var policy = section.Word("policy", rule.Policy);
        if (act is not null && actIsGiven)
            throw section.Bad("act", "both repeats and repeat.act", "one of them");

        // A threshold that nothing acts on would look like a limit and be none.
        if (act is { } idle && policy != LoopSignalPolicy.Act)
            throw section.Bad("act", $"{idle} with policy: warn", "act with policy: act only");
        if (warn is { } first && policy == LoopSignalPolicy.Act && first > (act ?? rule.Act))
            throw section.Bad("warn", $"{first}", $"at most {act ?? rule.Act}, where it acts");
        var given = new LoopThreshold(warn == rule.Warn ? null : warn, act == rule.Act ? null : act, policy == rule.Policy ? null : policy);
        return given == new LoopThreshold() ? null : given;
    }

    private static IReadOnlyList<string>? Exempt(YamlSection guard)
    {
        var tools = guard.List("exempt", MaxExempt);
        foreach (var (tool, line) in tools)
        {
            if (tool.Length is 0 or > 100)
                throw guard.BadAt(line, "exempt", tool, "names of tools, of 1 to 100 characters");
        }

        if (tools.GroupBy(t => t.Value).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw guard.BadAt(twice.Last().Line, "exempt", $"{twice.Key} twice", "each tool once");
        return tools.Count == 0 ? null : [.. tools.Select(t => t.Value).Order(StringComparer.Ordinal)];
    }
}
