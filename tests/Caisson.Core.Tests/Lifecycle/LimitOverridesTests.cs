using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Lifecycle;

public sealed class LimitOverridesTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(55);

    private static readonly AgentManifest Manifest = new()
    {
        Name = "a",
        Code = "a",
        Limits = new LimitSettings { NanoUsd = 1, Tokens = 2, Steps = 3, ToolCalls = 4, Deadline = TimeSpan.FromSeconds(5), OnLimit = LimitPolicy.Stop },
    };

    [Fact]
    public void What_is_given_replaces_the_manifests_and_the_rest_stays()
    {
        var (all, none) = LimitOverrides.Apply(Manifest, new RunOverrides("0.05", 20, 30, 40, TimeSpan.FromMinutes(1), 5));
        var (some, _) = LimitOverrides.Apply(Manifest, new RunOverrides(Steps: 30));
        var (same, _) = LimitOverrides.Apply(Manifest, new RunOverrides());

        Assert.Null(none);
        Assert.Equal(new LimitSettings { NanoUsd = 50_000_000, Tokens = 20, Steps = 30, ToolCalls = 40, Deadline = TimeSpan.FromMinutes(1), OnLimit = LimitPolicy.Stop }, all.Limits);
        Assert.Equal(5, all.LoopGuard.Repeats);
        Assert.Equal(Manifest.Limits with { Steps = 30 }, some.Limits);
        Assert.Equal(Manifest, same);
    }

    public static TheoryData<string, RunOverrides> Bad => new()
    {
        { "usd", new RunOverrides(Usd: "much") },
        { "usd", new RunOverrides(Usd: "0") },
        { "usd", new RunOverrides(Usd: "-1") },
        { "usd", new RunOverrides(Usd: "0.0000000001") },
        { "tokens", new RunOverrides(Tokens: 0) },
        { "steps", new RunOverrides(Steps: -1) },
        { "tool_calls", new RunOverrides(ToolCalls: 0) },
        { "deadline", new RunOverrides(Deadline: TimeSpan.Zero) },
        { "deadline", new RunOverrides(Deadline: TimeSpan.FromDays(366)) },
        { "loop_repeats", new RunOverrides(LoopRepeats: 1) },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void Impossible_limits_are_refused_with_their_name(string key, RunOverrides given)
    {
        var (manifest, failure) = LimitOverrides.Apply(Manifest, given);

        Assert.Equal(ErrorCodes.RequestInvalid, failure?.Code);
        Assert.StartsWith($"limits.{key}: found '", failure!.Message, StringComparison.Ordinal);
        Assert.Contains(", allowed is ", failure.Message, StringComparison.Ordinal);
        Assert.Equal(Manifest, manifest);
    }

    [Theory]
    [InlineData(LimitDimension.NanoUsd, "--budget-usd")]
    [InlineData(LimitDimension.Tokens, "--budget-tokens")]
    [InlineData(LimitDimension.Steps, "--max-steps")]
    [InlineData(LimitDimension.ToolCalls, "--max-tool-calls")]
    [InlineData(LimitDimension.Deadline, "--deadline")]
    public void A_run_at_a_limit_needs_that_limit_above_what_is_gone(LimitDimension at, string flag)
    {
        var run = AtLimit(at, gone: 100);
        var now = Start.AddTicks(100);

        var nothing = LimitOverrides.StillReached(run, new RaisedLimits(), now);
        var others = LimitOverrides.StillReached(run, Raise(Enum.GetValues<LimitDimension>().First(d => d != at), 1_000), now);
        var same = LimitOverrides.StillReached(run, Raise(at, 100), now);
        var above = LimitOverrides.StillReached(run, Raise(at, 101), now);

        foreach (var refused in new[] { nothing, others, same })
        {
            Assert.Equal(ErrorCodes.BudgetExceeded, refused?.Code);
            Assert.Contains(flag, refused!.Message, StringComparison.Ordinal);
        }

        Assert.Null(above);
    }

    [Fact]
    public void A_deadline_that_passed_while_the_run_stood_paused_is_still_reached()
    {
        var run = AtLimit(LimitDimension.Deadline, gone: TimeSpan.FromSeconds(1).Ticks);
        var anHourLater = Start.AddHours(1);

        Assert.NotNull(LimitOverrides.StillReached(run, new RaisedLimits(Deadline: TimeSpan.FromMinutes(30)), anHourLater));
        Assert.Null(LimitOverrides.StillReached(run, new RaisedLimits(Deadline: TimeSpan.FromMinutes(90)), anHourLater));
    }

    [Fact]
    public void A_run_at_no_limit_needs_nothing()
    {
        Assert.Null(LimitOverrides.StillReached(AtLimit(null, 100), new RaisedLimits(), Start.AddDays(1)));
    }

    private static RaisedLimits Raise(LimitDimension dimension, long to) => dimension switch
    {
        LimitDimension.NanoUsd => new RaisedLimits(NanoUsd: to),
        LimitDimension.Tokens => new RaisedLimits(Tokens: to),
        LimitDimension.Steps => new RaisedLimits(Steps: to),
        LimitDimension.ToolCalls => new RaisedLimits(ToolCalls: to),
        _ => new RaisedLimits(Deadline: TimeSpan.FromTicks(to)),
    };

    private static RunRecord AtLimit(LimitDimension? at, long gone) => new(
        default, "a", RunStatus.Paused, WaitReason.None, PauseCause.Budget, Start, Start.AddTicks(gone), null, null, null, 1, 5,
        new RunSummary { LimitAt = at, Steps = gone, ToolCalls = gone }, new BudgetState(gone, gone, 0, 0), new BudgetState(gone, gone, 0, 0));
}
