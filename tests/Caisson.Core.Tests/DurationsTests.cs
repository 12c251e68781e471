using CsCheck;

namespace Caisson.Core.Tests;

public sealed class DurationsTests
{
    [Theory]
    [InlineData("200ms", 200)]
    [InlineData("90s", 90_000)]
    [InlineData("15m", 900_000)]
    [InlineData("2h", 7_200_000)]
    [InlineData("1d", 86_400_000)]
    [InlineData("0s", 0)]
    [InlineData("3650d", 315_360_000_000)]
    public void Times_are_read_as_people_write_them(string text, double ms)
    {
        Assert.True(Durations.TryParse(text, out var value));
        Assert.Equal(ms, value.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("ms")]
    [InlineData("-5s")]
    [InlineData("+5s")]
    [InlineData("1.5h")]
    [InlineData("5 s")]
    [InlineData(" 5s")]
    [InlineData("5S")]
    [InlineData("1h30m")]
    [InlineData("3651d")]
    [InlineData("99999999999999999999d")]
    [InlineData("9223372036854775807ms")]
    public void Everything_else_is_refused(string text)
    {
        Assert.False(Durations.TryParse(text, out _));
    }

    [Theory]
    [InlineData(0, "0ms")]
    [InlineData(250, "250ms")]
    [InlineData(1_000, "1s")]
    [InlineData(90_000, "90s")]
    [InlineData(3_600_000, "1h")]
    [InlineData(86_400_000, "1d")]
    [InlineData(90_000_000, "25h")]
    public void They_are_written_in_the_largest_unit_that_fits(double ms, string text)
    {
        Assert.Equal(text, Durations.Text(TimeSpan.FromMilliseconds(ms)));
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        Gen.Long[0, (long)TimeSpan.FromDays(3650).TotalMilliseconds].Select(ms => TimeSpan.FromTicks(ms * TimeSpan.TicksPerMillisecond))
            .Sample(value => Durations.TryParse(Durations.Text(value), out var read) && read == value);
    }
}
