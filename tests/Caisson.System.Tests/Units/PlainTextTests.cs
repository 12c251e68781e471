using Caisson.Contracts;

namespace Caisson.System.Tests.Units;

public sealed class PlainTextTests
{
    [Theory]
    [InlineData("plain text, ünïcode, 日本, 🦀", "plain text, ünïcode, 日本, 🦀")]
    [InlineData("a\nb\r\tc", @"a\nb\r\tc")]
    [InlineData("\e[2J\u009b31m\u007f", @"\x1b[2J\x9b31m\x7f")]
    [InlineData("abc\u202edcba\u2066x", @"abc\u{202e}dcba\u{2066}x")]
    [InlineData("zero\u200bwidth\u2028line", @"zero\u{200b}width\u{2028}line")]
    public void Nothing_in_a_line_can_steer_a_terminal(string text, string shown) =>
        Assert.Equal(shown, PlainText.Line(text));

    [Fact]
    public void A_broken_surrogate_is_shown_as_what_it_is() =>
        Assert.Equal(@"x\u{d83e}y", PlainText.Line("x" + (char)0xd83e + "y"));

    [Fact]
    public void A_long_line_is_cut() =>
        Assert.Equal("aaaa…", PlainText.Line(new string('a', 100), 5));

    [Fact]
    public void Several_lines_stay_lines() =>
        Assert.Equal(["a", @"b\x1b[0m", ""], PlainText.Lines("a\r\nb\e[0m\n"));
}
