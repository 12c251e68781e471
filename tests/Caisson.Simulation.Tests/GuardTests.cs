using Caisson.Simulation.Tests.Runs;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests;

/// <summary>A check that cannot fail checks nothing: each guard of the store is taken away, and the seeds must miss it.</summary>
public sealed class GuardTests
{
    private const int MostSeeds = 400;

    [Theory]
    [InlineData(Breakage.StaleFence, "I1")]
    [InlineData(Breakage.ForgottenAppend, "I2")]
    [InlineData(Breakage.NoStart, "I3")]
    [InlineData(Breakage.LostTimer, "I4")]
    [InlineData(Breakage.NoWake, "I4")]
    [InlineData(Breakage.WrongRow, "I6")]
    [InlineData(Breakage.NoAdmission, "I7")]
    [InlineData(Breakage.KeptHold, "I7")]
    [InlineData(Breakage.LostInput, "I9")]
    [InlineData(Breakage.InputTwice, "I9")]
    [InlineData(Breakage.FiresTwice, "I10")]
    [InlineData(Breakage.AfterEnd, "I12")]
    [InlineData(Breakage.LostTail, "acknowledged")]
    public void A_store_without_the_guard_is_found(Breakage breakage, string invariant)
    {
        for (var seed = 1UL; seed <= MostSeeds; seed++)
        {
            if (new Scenario(seed, breakage).Run().Violation is { } found)
            {
                Assert.Equal(invariant, found.Invariant);
                return;
            }
        }

        Assert.Fail($"{MostSeeds} seeds did not miss it");
    }
}
