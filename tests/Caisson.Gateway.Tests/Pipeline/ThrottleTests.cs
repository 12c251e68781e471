using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Pipeline;

/// <summary>Two runs and a mock provider that asks to be left alone.</summary>
public sealed class ThrottleTests
{
    private const string Busy = """
        scripts:
          - model: m
            turns: [{ say: at last, fail: { status: 429, retry_after: 30 } }]
          - model: n
            turns: [{ say: in turn }]
        """;

    private static readonly RunId Other = RunId.Parse("01981d3c-0000-7000-8000-00000000000b");

    [Fact]
    public async Task What_one_run_is_told_holds_for_the_other_too_under_its_hold_and_is_shown()
    {
        await using var rig = await Rig.StartAsync(Busy);
        var (first, second) = (new TestStepLog(rig.Clock) { KeepsTime = true }, new TestStepLog(rig.Clock) { KeepsTime = true, Run = Other });
        rig.Options.Prices["n"] = rig.Options.Prices["m"];
        using var pipeline = rig.Pipeline();
        var until = rig.Clock.GetUtcNow().AddSeconds(30);

        using var end = new CancellationTokenSource();
        var told = pipeline.CallAsync(In("m"), first, end.Token);
        await first.Failed;
        var waits = pipeline.CallAsync(In("n"), second, CancellationToken.None);
        await second.Shown;

        Assert.Equal([new OutsideWait("provider mock", until)], second.Waits);
        Assert.Equal(1, rig.Server.Requests);
        Assert.Equal(["begin"], second.Events);
        rig.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.IsType<ModelOutcome.Answered>(await waits.WaitAsync(TestStepLog.Patience));
        Assert.Equal([new OutsideWait("provider mock", until), null], second.Waits);
        Assert.Equal(["begin", "complete"], second.Events);
        Assert.InRange(first.Failures[0].Wait!.Value, TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(31));
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => told.WaitAsync(TestStepLog.Patience));
    }

    [Fact]
    public async Task A_run_that_is_stopped_while_it_waits_gives_its_hold_back()
    {
        await using var rig = await Rig.StartAsync(Busy);
        using var halt = new CancellationTokenSource();
        var (first, second) = (new TestStepLog(rig.Clock) { KeepsTime = true }, new TestStepLog(rig.Clock) { KeepsTime = true, Run = Other, Halting = halt.Token });
        rig.Options.Prices["n"] = rig.Options.Prices["m"];
        using var pipeline = rig.Pipeline();
        using var end = new CancellationTokenSource();

        var told = pipeline.CallAsync(In("m"), first, end.Token);
        await first.Failed;
        var waits = pipeline.CallAsync(In("n"), second, CancellationToken.None);
        await second.Begun;
        await halt.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits.WaitAsync(TestStepLog.Patience));
        Assert.Equal(["begin", "fail:Release"], second.Events);
        Assert.Equal(1, rig.Server.Requests);
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => told.WaitAsync(TestStepLog.Patience));
    }

    [Fact]
    public async Task As_many_calls_are_under_way_as_the_configuration_allows()
    {
        await using var rig = await Rig.StartAsync("scripts: [{ model: m, turns: [{ say: slow, fail: { hang: true } }] }, { model: n, turns: [{ say: in turn }] }]");
        rig.Options.MaxConcurrent = 1;
        var (first, second) = (new TestStepLog(rig.Clock) { KeepsTime = true }, new TestStepLog(rig.Clock) { KeepsTime = true, Run = Other });
        rig.Options.Prices["n"] = rig.Options.Prices["m"];
        using var pipeline = rig.Pipeline();

        using var end = new CancellationTokenSource();
        var hangs = pipeline.CallAsync(In("m"), first, end.Token);
        await rig.RequestsAsync(1);
        var waits = pipeline.CallAsync(In("n"), second, CancellationToken.None);
        await InLineAsync(pipeline);
        Assert.Equal(1, rig.Server.Requests);
        await end.CancelAsync();

        Assert.IsType<ModelOutcome.Answered>(await waits.WaitAsync(TestStepLog.Patience));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hangs.WaitAsync(TestStepLog.Patience));
        Assert.Equal(2, rig.Server.Requests);
    }

    private static ModelRequest In(string model) => Rig.Request(ModelMessage.User("hello")) with { Model = "mock/" + model };

    private static async Task InLineAsync(ModelCallPipeline pipeline)
    {
        var gate = Assert.IsType<ModelCallPipeline.Resolution.Found>(pipeline.Resolve("mock/n", moneyIsCapped: true)).Upstream.Gate;
        var began = TimeProvider.System.GetTimestamp();
        while (gate.Waiting == 0)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TestStepLog.Patience, "nobody came into the line");
            await Task.Yield();
        }
    }
}
