using System.Globalization;
using System.Text;
using Caisson.Core.Loops;
using CsCheck;

namespace Caisson.Core.Tests.Loops;

public sealed class StreamRepeatsTests
{
    private const string Passage = "I will now look at the file once more. ";

    private static string Times(string text, int times) => new StringBuilder().Insert(0, text, times).ToString();

    private static string Prose(int sentences) =>
        string.Concat(Enumerable.Range(0, sentences).Select(i => string.Create(CultureInfo.InvariantCulture, $"Sentence {i * 7919 % 10_007} says something about item {i}. ")));

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(10)]
    public void A_passage_is_counted_wherever_it_begins(int times)
    {
        Assert.Equal(times, StreamRepeats.Of(Prose(30) + Times(Passage, times)));
    }

    [Fact]
    public void What_goes_on_differently_afterwards_was_a_repetition_all_the_same()
    {
        Assert.InRange(StreamRepeats.Of(Times(Passage, 40) + Prose(30)), 10, 12);
    }

    [Fact]
    public void Honest_texts_repeat_nothing()
    {
        var table = string.Concat(Enumerable.Range(0, 60).Select(i => string.Create(CultureInfo.InvariantCulture, $"| row {i} | {i * i} | yes |\n")));
        var code = string.Concat(Enumerable.Range(0, 40).Select(i => string.Create(CultureInfo.InvariantCulture, $"    case {i}:\n        return Name{i};\n")));

        foreach (var text in new[] { Prose(400), table, code, new string('-', 900), Times("+-", 400), new string(' ', 2_000), "" })
            Assert.InRange(StreamRepeats.Of(text), 1, 5);
    }

    [Fact]
    public void A_ruler_without_end_is_no_ruler()
    {
        Assert.InRange(StreamRepeats.Of(new string('=', 8_000)), 10, 12);
        Assert.InRange(StreamRepeats.Of(Times("ha ", 5_000)), 10, 12);
    }

    [Fact]
    public void The_longest_passage_is_seen_and_a_longer_one_is_not()
    {
        var longest = Prose(40)[..StreamRepeats.LongestPassage];

        Assert.InRange(StreamRepeats.Of(Times(longest, 11)), 10, 12);
        Assert.Equal(1, StreamRepeats.Of(Times(Prose(60)[..(StreamRepeats.LongestPassage + 1)], 11)));
    }

    /// <summary>A replay has the whole text, a stream its pieces.</summary>
    [Fact]
    public void Pieces_count_as_the_whole_does()
    {
        var text = Gen.Select(Gen.Int[0, 40], Gen.Int[1, 14], Gen.Int[1, 90]).Select((before, times, length) => Prose(before) + Times(Prose(3)[..length], times) + Prose(before / 3));
        Gen.Select(text, Gen.Int[1, 700].Array[1, 60]).Sample((whole, cuts) =>
        {
            var pieces = new StreamRepeats();
            var at = 0;
            foreach (var cut in cuts.TakeWhile(_ => at < whole.Length))
            {
                pieces.Add(whole.AsSpan(at, Math.Min(cut, whole.Length - at)));
                at = Math.Min(whole.Length, at + cut);
            }

            pieces.Add(whole.AsSpan(at));
            return pieces.End() == StreamRepeats.Of(whole);
        }, iter: 300);
    }
}
