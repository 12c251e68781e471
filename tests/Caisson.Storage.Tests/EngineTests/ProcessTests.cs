using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Processes;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Process agents as the engine drives them; their boxes and their gateway are hand-made.</summary>
public sealed class ProcessTests : EngineTestBase
{
    private const int Rounds = 25;

    /// <summary>Once one was left behind, and the next start found it, with ways out that led nowhere. Which of the two ends comes first is chance, hence the rounds.</summary>
    [Fact]
    public async Task A_halt_just_after_the_program_s_end_leaves_no_box_for_the_next_start()
    {
        var gate = new Gate();
        gate.Open();
        var boxes = new RecordingBoxes(gate);
        var server = await StartAsync(sandboxes: [boxes], processes: new HaltingGateway());
        var run = await server.CreateAsync("name: test\nprocess: { command: [program] }\n");

        for (var round = 1; round <= Rounds; round++)
        {
            var paused = await server.UntilAsync(run, r => r.Status == RunStatus.Paused && boxes.Seen.Count == round, $"is paused for the {round}th time");
            Assert.Equal((PauseCause.RetryExhausted, 0), (paused.Paused, boxes.Alive));
            Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default));
        }
    }

    /// <summary>Nothing is asked of it. When the program has ended it halts the run, as a step that the program left open may.</summary>
    private sealed class HaltingGateway : IProcessGateway
    {
        public IProcessCalls Begin(IProcessRun run) => new Calls(run);

        private sealed class Calls(IProcessRun run) : IProcessCalls
        {
            public IBoxDoors Open(IProcessSteps steps) => new NoDoors();

            public Task SettledAsync()
            {
                run.Halt(new ModelOutcome.Exhausted(new Failure(ErrorCodes.RetryExhausted, "no more", Retryable: true)));
                return Task.CompletedTask;
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }

        private sealed class NoDoors : IBoxDoors
        {
            public IReadOnlyList<Core.Sandboxes.BoxForward> Forwards => [];

            public IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>();

            public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; } = new Dictionary<string, ReadOnlyMemory<byte>>();

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
