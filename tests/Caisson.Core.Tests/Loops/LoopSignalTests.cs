using Caisson.Contracts;
using Caisson.Core.Loops;
using CsCheck;

namespace Caisson.Core.Tests.Loops;

/// <summary>The guard with everything that it may be told: failures, workspace roots, times and requests.</summary>
public sealed class LoopSignalTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(55);

    private static readonly int[] Times = [1, 5, 6, 9, 10];

    /// <summary>Every signal acts, so that "never stopped" means never, whatever a policy says.</summary>
    private static readonly LoopThresholds Strict = LoopThresholds.Of(new LoopGuardSettings
    {
        SameCall = new(Policy: LoopSignalPolicy.Act),
        Error = new(Policy: LoopSignalPolicy.Act),
        Stale = new(Policy: LoopSignalPolicy.Act),
        Rate = new(Policy: LoopSignalPolicy.Act),
    });

    [Fact]
    public void An_exact_repeat_warns_at_three_and_acts_at_eight()
    {
        Assert.Equal("..wwwwwX", new Feed().Turns(8, _ => ("shell", "make", "error 1", true, null)));
    }

    [Fact]
    public void An_answer_that_repeats_itself_warns_at_six_and_acts_at_ten_where_the_policy_says_so()
    {
        static string Answer(int times) => string.Concat(Enumerable.Repeat("And now I read the same file again. ", times));
        static string Signs(LoopGuard guard) => string.Concat(Times.Select(times => Sign(guard.ObserveAnswer(Answer(times)))));

        Assert.Equal("..www", Signs(new LoopGuard(LoopThresholds.Default)));
        Assert.Equal("..wwX", Signs(new LoopGuard(LoopThresholds.Of(new LoopGuardSettings { Stream = new(Policy: LoopSignalPolicy.Act) }))));
        Assert.Equal("..www", Signs(new LoopGuard(LoopThresholds.Of(new LoopGuardSettings { OnLoop = LoopPolicy.Warn, Stream = new(Policy: LoopSignalPolicy.Act) }))));
        Assert.Contains("same passage 7 times", new LoopGuard(LoopThresholds.Default).ObserveAnswer(Answer(7)).Note(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_call_that_changes_files_is_no_repeat()
    {
        var feed = new Feed(Strict);

        Assert.Equal(new string('.', 200), feed.Turns(200, i => ("shell", "date >> log", "", false, $"root {i}")));
    }

    [Fact]
    public void Files_that_change_back_and_forth_are_a_cycle()
    {
        Assert.Equal("...wwwwX", new Feed().Turns(8, i => ("shell", "toggle", "ok", false, i % 2 == 0 ? "on" : "off")));
    }

    [Fact]
    public void The_same_files_said_again_are_no_change()
    {
        Assert.Equal("..wwwwwX", new Feed().Turns(8, _ => ("shell", "make", "error 1", true, "root")));
    }

    [Fact]
    public void An_agent_that_alternates_two_failing_commands_is_stopped()
    {
        Assert.Equal("...wwwwX", new Feed().Turns(8, i => ("shell", i % 2 == 0 ? "make" : "make -k", $"error {i % 2}", true, null)));
    }

    [Fact]
    public void So_it_is_where_the_errors_differ_each_time_and_a_policy_says_so()
    {
        var feed = new Feed(Strict);

        var levels = feed.Turns(60, i => ("shell", i % 2 == 0 ? "make" : "make -k", $"error at second {i}", true, null));

        Assert.Equal(58, levels.IndexOf('X', StringComparison.Ordinal));
        Assert.Equal((LoopSignals.SameCall, 30), (feed.At(58).Signal, feed.At(58).Count));
    }

    [Theory]
    [InlineData("doubling")]
    [InlineData("linear")]
    [InlineData("slow")]
    public void An_agent_that_polls_a_changing_status_with_growing_gaps_is_never_stopped(string growth)
    {
        var feed = new Feed(Strict);
        var wait = TimeSpan.FromSeconds(1);

        var levels = feed.Turns(200, i =>
        {
            wait = growth switch { "doubling" => i < 20 ? wait * 2 : wait + TimeSpan.FromMilliseconds(1), "linear" => wait + TimeSpan.FromSeconds(5), _ => wait * 1.01 };
            feed.Now += wait;
            return ("http", "GET /job", $"{i} %", false, null);
        });

        Assert.Equal(new string('.', 200), levels);
    }

    [Fact]
    public void One_that_polls_without_a_pause_is_warned_at_ten_and_stopped_at_thirty_where_a_policy_says_so()
    {
        var levels = new Feed(Strict).Turns(30, i => ("http", "GET /job", $"{i} %", false, null));
        var byDefault = new Feed().Turns(40, i => ("http", "GET /job", $"{i} %", false, null));

        Assert.Equal(".........w.........w.........X", levels);
        Assert.Equal(".........w.........w...................w", byDefault);
    }

    [Fact]
    public void A_result_that_stays_the_same_is_no_other_result()
    {
        var feed = new Feed(Strict);

        // Two of a kind each: neither three in a row nor a cycle, and five others in ten calls.
        var levels = feed.Turns(18, i => ("http", "GET /job", $"{i / 2 * 10} %", false, null));

        Assert.Equal(new string('.', 18), levels);
        Assert.Equal('w', feed.Turns(1, _ => ("http", "GET /job", "100 %", false, null))[0]);
    }

    [Fact]
    public void Calls_in_between_do_not_hide_polling_and_new_ground_ends_it()
    {
        var polls = new Feed(Strict);
        var levels = polls.Turns(40, i => i % 2 == 0 ? ("http", "GET /job", $"{i} %", false, null) : ("shell", "sleep 1", "", false, null));
        var work = new Feed(Strict);
        var free = work.Turns(200, i => i % 9 == 8 ? ("shell", $"new command {i}", "ok", false, null) : ("http", "GET /job", $"{i} %", false, null));
        var files = new Feed(Strict).Turns(200, i => i % 9 == 8 ? ("shell", "make", $"error {i}", true, $"root {i}") : ("http", "GET /job", $"{i} %", false, null));
        var failing = new Feed(Strict).Turns(50, i => i % 9 == 8 ? ("shell", $"new command {i}", "error", true, null) : ("http", "GET /job", $"{i} %", false, null));

        Assert.Contains('w', levels);
        Assert.Equal(new string('.', 200), free);
        Assert.Equal(new string('.', 200), files);
        Assert.Contains('X', failing);
    }

    [Fact]
    public void The_same_error_in_a_row_counts_whatever_was_called()
    {
        var feed = new Feed(Strict);

        var levels = feed.Turns(8, i => ("shell", $"try {i}", "no space left", true, null));

        Assert.Equal("...w...X", levels);
        Assert.Equal(new LoopVerdict(LoopLevel.Act, LoopSignals.Error, "shell", 8, 1), feed.At(7));
        Assert.Equal("....w", feed.Turns(5, i => ("shell", $"next {i}", "no space left", i > 0, null)));
    }

    [Theory]
    [InlineData("another error")]
    [InlineData("a success with nothing new")]
    [InlineData("a new root")]
    public void An_error_in_between_a_success_or_a_new_root_ends_the_row(string what)
    {
        var feed = new Feed(Strict);
        feed.Turns(1, _ => ("shell", "ls", "a b", false, null));

        var levels = feed.Turns(100, i => i % 7 != 6
            ? ("shell", $"try {i}", "no space left", true, null)
            : what switch
            {
                "another error" => ("shell", $"try {i}", $"denied {i}", true, null),
                "a new root" => ("shell", $"try {i}", "no space left", true, $"root {i}"),
                _ => ("shell", "ls", "a b", false, null),
            });

        Assert.DoesNotContain('X', levels);
    }

    [Fact]
    public void Forty_calls_that_bring_nothing_new_are_stale()
    {
        var feed = new Feed(Strict);
        var known = feed.Turns(20, i => ("files", $"read {i}", $"text {i}", false, null));

        // All read before, in an order that is neither a repeat nor a cycle of up to eight.
        var levels = feed.Turns(40, i => ("files", $"read {i * 7 % 20}", $"text {i * 7 % 20}", false, null));

        Assert.Equal(new string('.', 20), known);
        Assert.Equal("..............w..............w.........X", levels);
        Assert.Equal(new LoopVerdict(LoopLevel.Act, LoopSignals.Stale, "files", 40, 1), feed.At(59));
    }

    [Theory]
    [InlineData("a new result", false, null)]
    [InlineData("a new failure", true, null)]
    [InlineData("text 1", false, "a new root")]
    public void Anything_new_ends_staleness(string result, bool failed, string? root)
    {
        var feed = new Feed(Strict);
        feed.Turns(20, i => ("files", $"read {i}", $"text {i}", false, null));
        feed.Turns(39, i => ("files", $"read {i * 7 % 20}", $"text {i * 7 % 20}", false, null));

        feed.Turns(1, _ => ("files", "read 1", result, failed, root));

        Assert.DoesNotContain('X', feed.Turns(39, i => ("files", $"read {i * 7 % 20}", $"text {i * 7 % 20}", false, null)));
    }

    [Fact]
    public void A_root_that_came_before_is_nothing_new()
    {
        var feed = new Feed(Strict);

        // Nine roots in turn, so that no cycle is seen: only the first nine are new.
        var levels = feed.Turns(100, i => ("shell", $"checkout {i % 9}", "ok", false, $"root {i % 9}"));

        Assert.Equal(9 + 40 - 1, levels.IndexOf('X', StringComparison.Ordinal));
    }

    [Fact]
    public void The_same_request_warns_at_three_and_acts_at_six()
    {
        var guard = new LoopGuard(LoopThresholds.Default);

        var levels = string.Concat(Enumerable.Range(0, 7).Select(i => Sign(guard.ObserveRequest("body", Start.AddSeconds(i)))));

        Assert.Equal("..wwwXX", levels);
        Assert.Equal(new LoopVerdict(LoopLevel.Act, LoopSignals.Request, "", 7, 1), guard.Verdict);
    }

    [Fact]
    public void Another_request_or_progress_ends_a_storm()
    {
        var others = new LoopGuard(Strict);
        var progress = new LoopGuard(Strict);
        var none = new LoopGuard(Strict);
        for (var i = 0; i < 50; i++)
        {
            Assert.NotEqual(LoopLevel.Act, others.ObserveRequest(i % 4 == 3 ? $"other {i}" : "body", Start.AddMinutes(i)).Level);
            Assert.NotEqual(LoopLevel.Act, progress.ObserveRequest("body", Start.AddMinutes(i)).Level);
            if (i % 4 == 3)
                progress.Observe("shell", $"step {i}", "done", false, null, Start.AddMinutes(i));
            none.ObserveRequest("body", Start.AddMinutes(i));
            if (i < 5)
                none.Observe("shell", $"step {i}", "error", true, null, Start.AddMinutes(i));
            else
                Assert.Equal(LoopLevel.Act, none.Verdict.Level);
        }
    }

    [Fact]
    public void More_calls_than_the_rate_within_a_minute_warn_and_act_where_a_policy_says_so()
    {
        var guard = new LoopGuard(Strict);

        var levels = string.Concat(Enumerable.Range(0, 240).Select(i => Sign(guard.ObserveRequest($"{i}", Start.AddMilliseconds(i * 200)))));

        Assert.Equal([59, 119, 239], levels.Index().Where(l => l.Item != '.').Select(l => l.Index));
        Assert.Equal('X', levels[239]);
        Assert.Equal(new LoopVerdict(LoopLevel.Act, LoopSignals.Rate, "", 240, 1), guard.Verdict);
    }

    [Fact]
    public void A_rate_below_is_never_warned_however_long_it_lasts()
    {
        var guard = new LoopGuard(Strict);

        for (var i = 0; i < 1_000; i++)
            Assert.Equal(LoopLevel.None, guard.ObserveRequest($"{i}", Start.AddSeconds(i * 1.02)).Level);
    }

    [Fact]
    public void Several_conversations_may_make_so_manyTimes_the_calls()
    {
        var guard = new LoopGuard(Strict);

        var first = Enumerable.Range(0, 300).First(i => guard.ObserveRequest($"{i}", Start, conversations: 4).Level != LoopLevel.None);

        Assert.Equal(239, first);
    }

    /// <summary>A minute's calls, counted one by one, with clocks that stand still, jump ahead and are set back.</summary>
    [Fact]
    public void The_minute_holds_what_came_in_it()
    {
        Gen.Int[-5, 90].Array[1, 120].Sample(gaps =>
        {
            var window = new MinuteWindow();
            var (now, latest) = (Start, DateTimeOffset.MinValue);
            var seconds = new List<long>();
            foreach (var gap in gaps)
            {
                now = now.AddSeconds(gap);
                latest = now > latest ? now : latest;
                seconds.Add(latest.ToUnixTimeSeconds());
                if (window.Add(now) != seconds.Count(s => s > seconds[^1] - 60))
                    return false;
            }

            return true;
        }, iter: 2_000);
    }

    [Fact]
    public void Exempt_tools_are_not_looked_at_but_the_files_they_leave_are()
    {
        var exempt = Strict with { Exempt = ["wait", "edit"] };

        Assert.Equal(new string('.', 50), new Feed(exempt).Turns(50, _ => ("wait", "10s", "", false, null)));

        // Seen without the waits, the same look comes eight times in a row.
        Assert.Equal("....w.w.w.w.w.X", new Feed(exempt).Turns(15, i => i % 2 == 0 ? ("http", "GET /job", "0 %", false, null) : ("wait", "10s", $"{i}", false, null)));
        Assert.Equal(new string('.', 60), new Feed(exempt).Turns(60, i => i % 2 == 0 ? ("shell", "make test", "2 failed", true, null) : ("edit", "a.cs", "ok", false, $"root {i}")));
    }

    [Fact]
    public void After_a_reset_it_knows_nothing()
    {
        var feed = new Feed(Strict);
        feed.Turns(29, i => ("http", "GET /job", $"{i} %", false, null));
        feed.Turns(7, _ => ("shell", "make", "error", true, "root"));
        for (var i = 0; i < 239; i++)
            feed.Guard.ObserveRequest("body", Start);

        feed.Guard.Reset();

        Assert.Equal(LoopVerdict.None, feed.Guard.Verdict);
        Assert.Equal(".........w", feed.Turns(10, i => ("http", "GET /job", $"{i} %", false, null)));
        Assert.Equal("..wwwwwX", new string([.. feed.Turns(8, _ => ("shell", "make", "error", true, "root"))]));
        Assert.Equal("..w", string.Concat(Enumerable.Range(0, 3).Select(_ => Sign(feed.Guard.ObserveRequest("body", Start)))));
    }

    [Fact]
    public void Every_threshold_is_the_manifests()
    {
        var thresholds = LoopThresholds.Of(new LoopGuardSettings
        {
            Repeats = 5,
            Exempt = ["wait"],
            Repeat = new(Warn: 4),
            SameCall = new(11, 12, LoopSignalPolicy.Act),
            Cycle = new(Act: 3),
            Error = new(Policy: LoopSignalPolicy.Act),
            Stale = new(Warn: 20),
            Request = new(Policy: LoopSignalPolicy.Warn),
            Rate = new(5, 6, LoopSignalPolicy.Act),
        });

        Assert.Equal(new LoopRule(4, 5, LoopSignalPolicy.Act), thresholds.Repeat);
        Assert.Equal(new LoopRule(11, 12, LoopSignalPolicy.Act), thresholds.SameCall);
        Assert.Equal(new LoopRule(2, 3, LoopSignalPolicy.Act), thresholds.Cycle);
        Assert.Equal(new LoopRule(4, 8, LoopSignalPolicy.Act), thresholds.Error);
        Assert.Equal(new LoopRule(20, 40, LoopSignalPolicy.Warn), thresholds.Stale);
        Assert.Equal(new LoopRule(3, 6, LoopSignalPolicy.Warn), thresholds.Request);
        Assert.Equal(new LoopRule(5, 6, LoopSignalPolicy.Act), thresholds.Rate);
        Assert.Equal(["wait"], thresholds.Exempt);
        Assert.Equal(9, LoopThresholds.Of(new LoopGuardSettings(), repeats: 9).Repeat.Act);
        Assert.Equal(LoopThresholds.Default, LoopThresholds.Of(new LoopGuardSettings()));
    }

    /// <summary>The table that the documents show.</summary>
    [Fact]
    public void Exact_repeats_act_by_default_and_guesses_warn()
    {
        var table = LoopThresholds.Default;

        Assert.Equal(new LoopRule(3, 8, LoopSignalPolicy.Act), table.Repeat);
        Assert.Equal(new LoopRule(10, 30, LoopSignalPolicy.Warn), table.SameCall);
        Assert.Equal(new LoopRule(2, 4, LoopSignalPolicy.Act), table.Cycle);
        Assert.Equal(new LoopRule(4, 8, LoopSignalPolicy.Warn), table.Error);
        Assert.Equal(new LoopRule(15, 40, LoopSignalPolicy.Warn), table.Stale);
        Assert.Equal(new LoopRule(3, 6, LoopSignalPolicy.Act), table.Request);
        Assert.Equal(new LoopRule(60, 240, LoopSignalPolicy.Warn), table.Rate);
    }

    [Fact]
    public void Where_nothing_acts_it_warns_less_and_less_often()
    {
        var feed = new Feed(LoopThresholds.Of(new LoopGuardSettings { OnLoop = LoopPolicy.Warn }));

        var repeats = feed.Turns(100, _ => ("shell", "make", "error", true, null));

        Assert.DoesNotContain('X', repeats);
        Assert.InRange(repeats.Count(l => l == 'w'), 6, 16);
    }

    [Fact]
    public void An_act_of_any_signal_goes_before_a_warning()
    {
        var feed = new Feed(Strict with { Error = new LoopRule(4, 5, LoopSignalPolicy.Act) });

        feed.Turns(5, _ => ("shell", "make", "error", true, null));

        Assert.Equal((LoopLevel.Act, LoopSignals.Error), (feed.Guard.Verdict.Level, feed.Guard.Verdict.Signal));
    }

    [Fact]
    public void What_was_seen_is_said_in_one_line()
    {
        foreach (var signal in new[] { LoopSignals.Repeat, LoopSignals.SameCall, LoopSignals.Cycle, LoopSignals.Error, LoopSignals.Stale, LoopSignals.Request, LoopSignals.Rate })
        {
            var verdict = new LoopVerdict(LoopLevel.Warn, signal, "shell", 12, 3);

            Assert.Contains("12", verdict.Text(), StringComparison.Ordinal);
            Assert.DoesNotContain('\n', verdict.Text());
            Assert.Equal($"[caisson: {verdict.Text()}. Try something else, or finish.]", verdict.Note());
        }

        Assert.Null(LoopVerdict.None.Note());
    }

    private static readonly Gen<(int Tool, int Args, int Result, bool Failed, int Root, int Gap)[]> AnyTurns =
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 2], Gen.Int[0, 2], Gen.Bool, Gen.Int[0, 6], Gen.Int[0, 30]).Array[0, 120];

    [Fact]
    public void The_same_observations_give_the_same_verdicts()
    {
        AnyTurns.Sample(turns => Verdicts(turns).SequenceEqual(Verdicts(turns)), iter: 500);
    }

    /// <summary>A replay that was cut short and one that was not agree on what both saw.</summary>
    [Fact]
    public void What_comes_later_changes_no_verdict()
    {
        AnyTurns.Sample(turns => Verdicts(turns[..(turns.Length / 2)]).SequenceEqual(Verdicts(turns).Take(turns.Length / 2)), iter: 500);
    }

    [Fact]
    public void By_default_only_exact_repeats_act()
    {
        AnyTurns.Sample(turns => Verdicts(turns).All(v => v.Level != LoopLevel.Act || v.Signal is LoopSignals.Repeat or LoopSignals.Cycle), iter: 500);
    }

    /// <summary>Whatever it acts on stands, exactly so, at the end of what it was shown.</summary>
    [Fact]
    public void It_acts_on_what_really_repeats()
    {
        AnyTurns.Sample(turns =>
        {
            string? root = null;
            var seen = turns.Select(t => (t.Tool, t.Args, t.Result, t.Failed, Root: root = t.Root == 0 ? root : $"{t.Root}")).ToList();
            return Verdicts(turns).Index().All(v => v.Item.Level != LoopLevel.Act
                || Enumerable.Range(0, v.Item.Period * (v.Item.Count - 1)).All(k => seen[v.Index - k] == seen[v.Index - k - v.Item.Period]));
        }, iter: 1_000);
    }

    [Fact]
    public void Memory_has_a_bound()
    {
        var seen = new Seen(256);
        for (var i = 0; i < 256; i++)
            Assert.True(seen.Add(Seen.Key($"{i}")));
        Assert.False(seen.Add(Seen.Key("0")));

        Assert.True(seen.Add(Seen.Key("256")));

        // The one that was seen again is younger than all the others; the oldest had to go.
        Assert.False(seen.Add(Seen.Key("0")));
        Assert.True(seen.Add(Seen.Key("1")));
    }

    private static List<LoopVerdict> Verdicts((int Tool, int Args, int Result, bool Failed, int Root, int Gap)[] turns)
    {
        var guard = new LoopGuard(LoopThresholds.Default);
        var now = Start;
        return [.. turns.Select(t => guard.Observe($"t{t.Tool}", $"t{t.Tool} {t.Args}", $"{t.Result}", t.Failed, t.Root == 0 ? null : $"{t.Root}", now += TimeSpan.FromSeconds(t.Gap)))];
    }

    private static char Sign(LoopVerdict verdict) => verdict.Level switch
    {
        LoopLevel.None => '.',
        LoopLevel.Warn => 'w',
        _ => 'X',
    };

    /// <summary>Shows a guard one turn after another, a second apart, and keeps its verdicts.</summary>
    private sealed class Feed(LoopThresholds? thresholds = null)
    {
        private readonly List<LoopVerdict> _verdicts = [];

        internal LoopGuard Guard { get; } = new(thresholds ?? LoopThresholds.Default);

        internal DateTimeOffset Now { get; set; } = Start;

        internal LoopVerdict At(int turn) => _verdicts[turn];

        internal string Turns(int count, Func<int, (string Tool, string Signature, string Result, bool Failed, string? Root)> turn)
        {
            var signs = new char[count];
            for (var i = 0; i < count; i++)
            {
                Now += TimeSpan.FromSeconds(1);
                var (tool, signature, result, failed, root) = turn(i);
                _verdicts.Add(Guard.Observe(tool, signature, result, failed, root, Now));
                signs[i] = Sign(_verdicts[^1]);
            }

            return new string(signs);
        }
    }
}
