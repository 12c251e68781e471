using Caisson.Contracts;
using Caisson.Core.Budgets;
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
        var (others, _) = LimitOverrides.Apply(Manifest, new RunOverrides { InputTokens = 1, OutputTokens = 2, ModelCalls = 3, Children = 0, ChildBreadth = 5, ChildDepth = 0, NoProgress = TimeSpan.FromSeconds(7) });
        Assert.Equal(Manifest.Limits with { InputTokens = 1, OutputTokens = 2, ModelCalls = 3, Children = 0, ChildBreadth = 5, ChildDepth = 0, NoProgress = TimeSpan.FromSeconds(7) }, others.Limits);
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
        { "input_tokens", new RunOverrides { InputTokens = 0 } },
        { "output_tokens", new RunOverrides { OutputTokens = -1 } },
        { "model_calls", new RunOverrides { ModelCalls = 0 } },
        { "children", new RunOverrides { Children = -1 } },
        { "child_breadth", new RunOverrides { ChildBreadth = 0 } },
        { "child_depth", new RunOverrides { ChildDepth = -1 } },
        { "no_progress", new RunOverrides { NoProgress = TimeSpan.Zero } },
        { "no_progress", new RunOverrides { NoProgress = TimeSpan.FromDays(366) } },
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
    [InlineData(LimitDimension.InputTokens, "--budget-input-tokens")]
    [InlineData(LimitDimension.OutputTokens, "--budget-output-tokens")]
    [InlineData(LimitDimension.ModelCalls, "--max-model-calls")]
    [InlineData(LimitDimension.Children, "--max-children")]
    [InlineData(LimitDimension.ChildDepth, "--max-child-depth")]
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

    /// <summary>Its own figures say nothing about a cap of its tenant's or its parent's, and raising its own would not help.</summary>
    [Fact]
    public void A_run_at_a_limit_above_it_needs_no_raise_of_its_own()
    {
        var run = AtLimit(LimitDimension.NanoUsd, 100);

        Assert.NotNull(LimitOverrides.StillReached(run, new RaisedLimits(), Start));
        Assert.Null(LimitOverrides.StillReached(run with { Summary = run.Summary with { LimitAbove = "tenant:t" } }, new RaisedLimits(), Start));
    }

    /// <summary>No progress counts from the resume anew, and children end while a run stands paused.</summary>
    [Theory]
    [InlineData(LimitDimension.NoProgress)]
    [InlineData(LimitDimension.ChildBreadth)]
    public void Some_limits_need_no_raise_to_go_on(LimitDimension at)
    {
        Assert.Null(LimitOverrides.StillReached(AtLimit(at, 100), new RaisedLimits(), Start.AddDays(1)));
    }

    public static TheoryData<LimitDimension> Dimensions => [.. Enum.GetValues<LimitDimension>()];

    [Theory]
    [MemberData(nameof(Dimensions))]
    public void Without_the_role_admin_a_limit_may_be_lowered_but_not_lifted(LimitDimension dimension)
    {
        var capped = Manifest with { Limits = LimitCaps.None.With(LimitCaps.Raise(dimension, 60_000)) };
        var open = Manifest with { Limits = LimitCaps.None };

        var lower = LimitOverrides.Apply(capped, Given(dimension, 30_000), admin: false);
        var same = LimitOverrides.Apply(capped, Given(dimension, 60_000), admin: false);
        var higher = LimitOverrides.Apply(capped, Given(dimension, 61_000), admin: false);
        var first = LimitOverrides.Apply(open, Given(dimension, 61_000), admin: false);
        var admin = LimitOverrides.Apply(capped, Given(dimension, 61_000));

        Assert.Equal((null, 30_000), (lower.Failure, lower.Manifest.Limits.Cap(dimension)));
        Assert.Equal((null, 60_000), (same.Failure, same.Manifest.Limits.Cap(dimension)));
        Assert.Equal((null, 61_000), (first.Failure, first.Manifest.Limits.Cap(dimension)));
        Assert.Equal((null, 61_000), (admin.Failure, admin.Manifest.Limits.Cap(dimension)));
        Assert.Equal(ErrorCodes.NotAllowed, higher.Failure?.Code);
        Assert.Matches("^limits\\.[a-z_]+: found '[^']+', allowed is at most the manifest's [^ ]+ without the role admin$", higher.Failure!.Message);
        Assert.Same(capped, higher.Manifest);
    }

    [Fact]
    public void Nor_may_the_loop_guard_be_loosened()
    {
        Assert.Equal(ErrorCodes.NotAllowed, LimitOverrides.Apply(Manifest, new RunOverrides(LoopRepeats: 9), admin: false).Failure?.Code);
        Assert.Null(LimitOverrides.Apply(Manifest, new RunOverrides(LoopRepeats: 8), admin: false).Failure);
        Assert.Null(LimitOverrides.Apply(Manifest, new RunOverrides(LoopRepeats: 9)).Failure);
    }

    private static RunOverrides Given(LimitDimension dimension, long cap)
    {
        var raise = LimitCaps.Raise(dimension, cap);
        return new RunOverrides(raise.NanoUsd is { } nano ? Money.Text(nano) : null, raise.Tokens, raise.Steps, raise.ToolCalls, raise.Deadline)
        {
            ModelCalls = raise.ModelCalls,
            InputTokens = raise.InputTokens,
            OutputTokens = raise.OutputTokens,
            Children = raise.Children,
            ChildBreadth = raise.ChildBreadth,
            ChildDepth = raise.ChildDepth,
            NoProgress = raise.NoProgress,
        };
    }

    private static RaisedLimits Raise(LimitDimension dimension, long to) =>
        dimension == LimitDimension.Deadline ? new RaisedLimits(Deadline: TimeSpan.FromTicks(to)) : LimitCaps.Raise(dimension, to);

    private static RunRecord AtLimit(LimitDimension? at, long gone) => new(
        default, "a", RunStatus.Paused, WaitReason.None, PauseCause.Budget, Start, Start.AddTicks(gone), null, null, null, 1, 5,
        new RunSummary { LimitAt = at, LimitNeeds = at is LimitDimension.ModelCalls or LimitDimension.Children or LimitDimension.ChildDepth ? gone + 1 : null, Steps = gone, ToolCalls = gone, InputTokens = gone, OutputTokens = gone }, new BudgetState(gone, gone, 0, 0), new BudgetState(gone, gone, 0, 0));
}
