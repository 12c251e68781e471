using System.Text;
using Caisson.Gateway.Egress;
using CsCheck;

namespace Caisson.Gateway.Tests.Egress;

public sealed class SecretScrubberTests
{
    private const string Secret = "s3cr3t/tok+en-Value";

    private static string Scrub(IEnumerable<string> pieces)
    {
        var scrubber = new SecretScrubber(Encoding.ASCII.GetBytes(Secret));
        var shown = new StringBuilder();
        foreach (var piece in pieces)
            shown.Append(Encoding.Latin1.GetString(scrubber.Next(Encoding.Latin1.GetBytes(piece))));
        return shown.Append(Encoding.Latin1.GetString(scrubber.Last())).ToString();
    }

    [Theory]
    [InlineData("s3cr3t/tok+en-Value")]
    [InlineData("s3cr3t%2Ftok%2Ben-Value")]
    [InlineData("s3cr3t%2ftok%2ben-Value")]
    [InlineData("s3cr3t\\/tok+en-Value")]
    [InlineData("s3cr3t/tok\\u002Ben-Value")]
    public void Every_common_form_is_covered(string form)
    {
        var shown = Scrub([$"a {form} z"]);

        Assert.Equal($"a {new string('*', form.Length)} z", shown);
    }

    [Fact]
    public void Base64_is_covered_wherever_the_secret_stands_in_it()
    {
        for (var before = 0; before < 6; before++)
        {
            var text = Convert.ToBase64String(Encoding.ASCII.GetBytes(new string('x', before) + Secret + "yz"));
            var shown = Scrub([text]);

            Assert.Equal(text.Length, shown.Length);
            Assert.True(shown.Count(c => c == '*') >= Secret.Length * 8 / 6 - 2, shown);
        }
    }

    [Fact]
    public void However_it_is_cut_nothing_of_it_is_shown_and_nothing_else_is_lost() =>
        Gen.Select(Gen.OneOf(Gen.String[Gen.Char["ab s3cr"], 0, 10], Gen.Const(Secret), Gen.Const(Secret[..9])).Array[0, 8], Gen.Int[1, 7].Array[1, 60]).Sample((parts, cuts) =>
        {
            var text = string.Concat(parts);
            List<string> pieces = [];
            for (var (at, i) = (0, 0); at < text.Length; i++)
            {
                var next = Math.Min(cuts[i % cuts.Length], text.Length - at);
                pieces.Add(text.Substring(at, next));
                at += next;
            }

            Assert.Equal(text.Replace(Secret, new string('*', Secret.Length), StringComparison.Ordinal), Scrub(pieces));
        }, iter: 5_000);

    [Fact]
    public void What_cannot_be_its_beginning_is_not_held_back()
    {
        var scrubber = new SecretScrubber(Encoding.ASCII.GetBytes(Secret));

        Assert.Equal("data: 1\n\n", Encoding.ASCII.GetString(scrubber.Next("data: 1\n\n"u8)));
    }
}
