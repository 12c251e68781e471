using System.Diagnostics;
using Caisson.Simulation.Tests.Runs;

namespace Caisson.Simulation.Tests;

public sealed class SimulationTests
{
    /// <summary>The same seeds every time: what CI finds red, everybody finds red.</summary>
    private const int Seeds = 500;

    [Fact]
    public void Every_seed_keeps_every_invariant()
    {
        var campaign = new Campaign(first: 1, Seeds);

        var bad = campaign.Run();

        Assert.True(bad is null, bad?.Line);
        Assert.Equal(Seeds, campaign.Done);
    }

    [Theory]
    [InlineData(0x5eedUL)]
    [InlineData(0xfeedUL)]
    [InlineData(0xbeefUL)]
    public void The_same_seed_is_the_same_history(ulong seed)
    {
        var once = new Scenario(seed).Run();
        var again = new Scenario(seed, tells: true).Run();

        Assert.Equal(once, again);
        Assert.NotEqual(once.Trace, new Scenario(seed + 1).Run().Trace);
    }

    /// <summary>Hash codes of texts differ from process to process, and nothing may depend on them.</summary>
    [Fact]
    public async Task Another_process_lives_the_same_history()
    {
        var here = new Scenario(0xcafe).Run();
        using var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["sim", "0xcafe", "1"]) { RedirectStandardOutput = true })!;

        Assert.Equal(here.Line, (await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).Trim());
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }
}
