using System.Diagnostics;
using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;
using Caisson.Contracts;
using Caisson.Core.Agents;

namespace Caisson.Bench.Workloads;

/// <summary>A long run comes back after its server was stopped: from the claim to the body of the first step that is not recorded.</summary>
internal static class ReplayWorkload
{
    private const int Steps = 2_000;

    private static readonly Figure Total = new($"replay of a run of {Steps:N0} steps: from its claim to its first live step", "0.0", "ms", "≤ 50 ms");
    private static readonly Figure Load = new("… of it before the agent begins", "0.0", "ms");

    internal static async Task MeasureAsync(Round round)
    {
        var folder = round.Folder();
        var agent = new ReturningAgent();
        RunId run;
        await using (var before = BenchEngine.Open(folder, agent))
        {
            run = (await before.CreateAsync(1, Steps + 1)).Single();
            await before.StartAsync();
            await agent.Worked.Task;
        }

        await using var after = BenchEngine.Open(folder, agent);
        await after.Operations.SignalAsync(run, ReturningAgent.Signal, default, null, null, default);
        var ended = after.Observed.WhenEnded(1);
        await after.StartAsync();
        await ended;

        var claimed = after.Observed.ClaimedAt[run];
        round.Add(Total, Stopwatch.GetElapsedTime(claimed, agent.LiveAt).TotalMilliseconds);
        round.Add(Load, Stopwatch.GetElapsedTime(claimed, agent.BegunAt).TotalMilliseconds);
    }

    /// <summary>Works, waits to be told, and does one thing more.</summary>
    private sealed class ReturningAgent : IAgent
    {
        internal const string Signal = "go";

        internal TaskCompletionSource Worked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal long BegunAt { get; private set; }

        internal long LiveAt { get; private set; }

        public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
        {
            BegunAt = Stopwatch.GetTimestamp();
            var result = Payload.Text(1);
            for (var i = 0; i < Steps; i++)
                await context.StepAsync("step", () => Task.FromResult(result));
            Worked.TrySetResult();
            await context.WaitForSignalAsync(Signal);
            return await context.StepAsync("live", () =>
            {
                LiveAt = Stopwatch.GetTimestamp();
                return Task.FromResult("done");
            });
        }
    }
}
