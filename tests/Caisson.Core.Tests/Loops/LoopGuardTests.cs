using Caisson.Core.Loops;
using CsCheck;

namespace Caisson.Core.Tests.Loops;

public sealed class LoopGuardTests
{
    [Fact]
    public void The_same_call_with_the_same_result_warns_at_three_and_acts_at_eight()
    {
        var levels = Feed(new LoopGuard(8), "AAAAAAAAA");

        Assert.Equal("..wwwwwXX", levels);
    }

    [Fact]
    public void A_verdict_says_what_was_seen()
    {
        var guard = new LoopGuard(8);
        Feed(guard, "xyAAA");

        Assert.Equal(new LoopVerdict(LoopLevel.Warn, "repeat", "A", 3, 1), guard.Verdict);
        Feed(guard, "BABABAB");
        Assert.Equal(new LoopVerdict(LoopLevel.Act, "cycle", "B", 4, 2), guard.Verdict);
    }

    [Theory]
    [InlineData(2, ".XX")]
    [InlineData(3, "..XX")]
    [InlineData(4, "..wXX")]
    [InlineData(12, "..wwwwwwwwwX")]
    public void The_manifest_says_when_it_acts(int repeats, string expected)
    {
        Assert.Equal(expected, Feed(new LoopGuard(repeats), new string('A', expected.Length)));
    }

    /// <summary>The ring holds fewer calls than the largest threshold that a manifest may set.</summary>
    [Fact]
    public void A_threshold_above_the_ring_is_reached_as_well()
    {
        var levels = Feed(new LoopGuard(1000), new string('A', 1000));

        Assert.Equal('X', levels[^1]);
        Assert.Equal('w', levels[^2]);
    }

    [Fact]
    public void Another_result_each_time_is_progress()
    {
        var guard = new LoopGuard(8);

        for (var i = 0; i < 500; i++)
            Assert.Equal(LoopLevel.None, guard.Observe("shell", "poll", $"{i}%").Level);
    }

    [Fact]
    public void A_result_that_differs_breaks_the_repeat()
    {
        Assert.Equal("..wwwww.........", Feed(new LoopGuard(8), "AAAAAAABCDEFGHIJ"));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(8)]
    public void A_cycle_warns_at_the_second_round_and_acts_at_the_fourth(int period)
    {
        var round = "ABCDEFGH"[..period];

        var levels = Feed(new LoopGuard(8), string.Concat(Enumerable.Repeat(round, 5)));

        Assert.Equal(new string('.', 2 * period - 1), levels[..(2 * period - 1)]);
        Assert.Equal('w', levels[2 * period - 1]);
        Assert.DoesNotContain('X', levels[..(4 * period - 1)]);
        Assert.Equal('X', levels[4 * period - 1]);
    }

    [Fact]
    public void A_cycle_of_nine_is_longer_than_it_looks_for()
    {
        Assert.DoesNotContain('X', Feed(new LoopGuard(8), string.Concat(Enumerable.Repeat("ABCDEFGHI", 10))));
    }

    [Fact]
    public void A_cycle_with_a_repeat_in_it_is_a_cycle()
    {
        var levels = Feed(new LoopGuard(8), string.Concat(Enumerable.Repeat("AAB", 4)));

        Assert.Equal('w', levels[5]);
        Assert.Equal('X', levels[11]);
    }

    [Fact]
    public void After_a_reset_it_counts_from_nothing()
    {
        var guard = new LoopGuard(8);
        Feed(guard, "AAAAAAA");

        guard.Reset();

        Assert.Equal(LoopVerdict.None, guard.Verdict);
        Assert.Equal("..wwwwwX", Feed(guard, "AAAAAAAA"));
    }

    [Fact]
    public void Sequences_without_a_repeat_never_warn()
    {
        // No call comes again within sixteen, so there is neither a repeat nor a cycle of up to eight.
        Gen.Int[16, 40].SelectMany(n => Gen.Shuffle(Enumerable.Range(0, n).ToArray()).Select(order => order)).Sample(order =>
        {
            var guard = new LoopGuard(2);
            return Enumerable.Range(0, 3).SelectMany(_ => order).All(i => guard.Observe("t", $"{i}", "same").Level == LoopLevel.None);
        }, iter: 300);
    }

    [Fact]
    public void It_never_acts_before_the_threshold_and_always_at_it()
    {
        Gen.Select(Gen.Int[2, 20], Gen.Int[0, 3].Array[0, 60]).Sample((repeats, calls) =>
        {
            var guard = new LoopGuard(repeats);
            var run = 0;
            for (var i = 0; i < calls.Length; i++)
            {
                run = i > 0 && calls[i] == calls[i - 1] ? run + 1 : 1;
                var verdict = guard.Observe("t", $"{calls[i]}", "r");
                var byRepeat = verdict is { Level: LoopLevel.Act, Signal: "repeat" };
                if (byRepeat != run >= repeats)
                    return false;

                // Whatever it calls a cycle stands at the end of what was seen.
                if (verdict is { Signal: "cycle" } && !Enumerable.Range(0, verdict.Period * (verdict.Count - 1)).All(k => calls[i - k] == calls[i - k - verdict.Period]))
                    return false;
            }

            return true;
        }, iter: 3_000);
    }

    /// <summary>One letter per call: its arguments. Answers one sign per verdict.</summary>
    private static string Feed(LoopGuard guard, string calls) => new([.. calls.Select(c => guard.Observe(c.ToString(), $"args {c}", "same").Level switch
    {
        LoopLevel.None => '.',
        LoopLevel.Warn => 'w',
        _ => 'X',
    })]);
}
