using Caisson.Core.Budgets;
using CsCheck;

namespace Caisson.Core.Tests.Budgets;

public sealed class MoneyTests
{
    [Theory]
    [InlineData("2", 2_000_000_000)]
    [InlineData("0.05", 50_000_000)]
    [InlineData(".5", 500_000_000)]
    [InlineData("0.000000001", 1)]
    [InlineData("1000000000", 1_000_000_000_000_000_000)]
    [InlineData("0", 0)]
    public void Plain_decimals_are_read(string text, long nano)
    {
        Assert.True(Money.TryParse(text, out var read));
        Assert.Equal(nano, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1e3")]
    [InlineData("1,000")]
    [InlineData("$1")]
    [InlineData("0x10")]
    [InlineData("NaN")]
    [InlineData("1.2.3")]
    [InlineData("1000000000.000000001")]
    [InlineData("99999999999999999999999999999999999")]
    [InlineData("0.0000000001")]
    [InlineData("1.0000000000000000000000000000000001")]
    [InlineData("0.0000000000000000000000000000000001")]
    public void Everything_else_is_refused_and_nothing_is_rounded(string text)
    {
        Assert.False(Money.TryParse(text, out var read));
        Assert.Equal(0, read);
    }

    [Theory]
    [InlineData(0, "0.00")]
    [InlineData(1, "0.000000001")]
    [InlineData(50_000_000, "0.05")]
    [InlineData(2_000_000_000, "2.00")]
    [InlineData(-1_500_000_000, "-1.50")]
    public void It_is_written_with_two_decimals_or_as_many_as_it_needs(long nano, string text)
    {
        Assert.Equal(text, Money.Text(nano));
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        Gen.Long[0, 1_000_000_000L * Money.NanoPerUsd].Sample(nano => Money.TryParse(Money.Text(nano), out var read) && read == nano);
    }
}
