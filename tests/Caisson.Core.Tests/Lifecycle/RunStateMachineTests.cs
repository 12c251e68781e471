using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Tests.Lifecycle;

public sealed class RunStateMachineTests
{
    private static readonly DateTimeOffset Later = DateTimeOffset.UnixEpoch.AddHours(1);
    private static readonly Failure Broken = new(ErrorCodes.Internal, "broken");

    private static readonly RunState[] States =
    [
        new(RunStatus.Ready),
        new(RunStatus.Running),
        .. Enum.GetValues<WaitReason>().Where(r => r != WaitReason.None).Select(r => new RunState(RunStatus.Waiting, r)),
        .. Enum.GetValues<PauseCause>().Where(c => c != PauseCause.None).Select(c => new RunState(RunStatus.Paused, Paused: c)),
        new(RunStatus.Completed),
        new(RunStatus.Failed),
        new(RunStatus.Cancelled),
    ];

    private static readonly RunCommand[] Commands =
    [
        new RunCommand.Claim(),
        new RunCommand.Wait(WaitReason.Retry, Later),
        new RunCommand.Proceed(),
        new RunCommand.Pause(PauseCause.Operator, "why"),
        new RunCommand.Resume("me"),
        new RunCommand.RequestCancel("me", "why"),
        new RunCommand.Complete("done"),
        new RunCommand.Fail(Broken),
        new RunCommand.ConfirmCancel(),
        new RunCommand.Yield(),
        new RunCommand.Unload(),
    ];

    // What each command makes of each status: the next status, when an unowned run is due, "free" where the owner lets
    // go, and the entries written. A dot is a command that does not fit. The columns are those of Commands.
    private static readonly Dictionary<RunStatus, string[]> Table = new()
    {
        [RunStatus.Ready] =
        [
            "Running now", ".", ".", ".", ".", "Ready now CancelRequested", ".", ".", "Cancelled never free RunEnded", ".", ".",
        ],
        [RunStatus.Running] =
        [
            "Running now", "Waiting at", ".", "Paused never free Paused", ".", "Running now CancelRequested",
            "Completed never free RunEnded", "Failed never free RunEnded", "Cancelled never free RunEnded", "Ready now free", ".",
        ],
        [RunStatus.Waiting] =
        [
            "Running now", "Waiting at", "Running now", "Paused never free Paused", ".", "Waiting now CancelRequested",
            "Completed never free RunEnded", "Failed never free RunEnded", "Cancelled never free RunEnded", "Ready now free", "Waiting free",
        ],
        [RunStatus.Paused] =
        [
            "Paused now", ".", ".", ".", "Running now Resumed", "Paused now CancelRequested", ".", ".",
            "Cancelled never free RunEnded", "Paused never free", ".",
        ],
        [RunStatus.Completed] = [".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "."],
        [RunStatus.Failed] = [".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "."],
        [RunStatus.Cancelled] = [".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "."],
    };

    private static IEnumerable<(RunState State, RunCommand Command, Transition Transition)> EveryPair() =>
        from state in States
        from command in Commands
        select (state, command, RunStateMachine.Apply(state, command));

    [Fact]
    public void Every_command_is_in_the_table()
    {
        var known = typeof(RunCommand).GetNestedTypes(System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public);

        Assert.Equal(known.Where(t => !t.IsAbstract).Select(t => t.Name).Order(), Commands.Select(c => c.GetType().Name).Order());
        Assert.Equal(Enum.GetValues<RunStatus>().Order(), Table.Keys.Order());
    }

    [Fact]
    public void Every_pair_of_state_and_command_does_what_the_table_says()
    {
        foreach (var (state, command, transition) in EveryPair())
        {
            var expected = Table[state.Status][Array.IndexOf(Commands, command)];

            Assert.Equal($"{state} + {command.GetType().Name} = {expected}", $"{state} + {command.GetType().Name} = {Describe(transition)}");
        }
    }

    [Fact]
    public void Final_states_never_change()
    {
        foreach (var (state, command, transition) in EveryPair().Where(p => p.State.IsFinal))
        {
            Assert.True(transition.Ignored, $"{state} took {command}");
            Assert.Equal(state, transition.State);
        }
    }

    [Fact]
    public void A_command_that_does_not_fit_leaves_the_state_as_it_is()
    {
        foreach (var (state, _, transition) in EveryPair().Where(p => p.Transition.Ignored))
            Assert.Equal(state, transition.State);
    }

    [Fact]
    public void A_live_run_that_is_let_go_has_a_due_time_or_a_pause()
    {
        foreach (var (state, command, transition) in EveryPair().Where(p => p.Transition.Release && !p.Transition.State.IsFinal))
        {
            var wakes = transition.DueAt.Kind is DueKind.Now or DueKind.At;
            var paused = transition.State is { Status: RunStatus.Paused, Paused: not PauseCause.None };

            // A run that waits was given its time or its input when the wait began, and keeps it.
            Assert.True(wakes || paused || transition.State.Status == RunStatus.Waiting, $"{state} + {command} would sleep for ever");
        }
    }

    [Fact]
    public void A_waiting_run_knows_what_it_waits_for_and_a_paused_one_why()
    {
        foreach (var (_, _, transition) in EveryPair())
        {
            Assert.Equal(transition.State.Status == RunStatus.Waiting, transition.State.Waiting != WaitReason.None);
            Assert.Equal(transition.State.Status == RunStatus.Paused, transition.State.Paused != PauseCause.None);
        }
    }

    [Fact]
    public void The_end_is_journaled_once_and_lets_the_run_go()
    {
        foreach (var (state, command, transition) in EveryPair())
        {
            var ends = !state.IsFinal && transition.State.IsFinal;
            Assert.Equal(ends ? 1 : 0, transition.Writes.Count(w => w.Kind == EntryKind.RunEnded));
            if (!ends)
                continue;
            Assert.True(transition.Release, $"{state} + {command} ends but keeps its owner");
            Assert.Equal(DueKind.Never, transition.DueAt.Kind);
            Assert.Equal(transition.State.Status, ((EntryBody.RunEnded)transition.Writes.Single().Body).Status);
        }
    }

    [Fact]
    public void Entries_are_written_only_where_the_state_moves_or_a_cancel_is_noted()
    {
        foreach (var (state, command, transition) in EveryPair().Where(p => p.Transition.Writes.Count > 0))
            Assert.True(transition.State != state || command is RunCommand.RequestCancel, $"{state} + {command} writes without moving");
    }

    [Fact]
    public void What_a_command_carries_reaches_state_and_journal()
    {
        var running = new RunState(RunStatus.Running);

        var paused = RunStateMachine.Apply(running, new RunCommand.Pause(PauseCause.Budget, "spent"));
        var waiting = RunStateMachine.Apply(running, new RunCommand.Wait(WaitReason.Sandbox, Later));
        var completed = RunStateMachine.Apply(running, new RunCommand.Complete("42"));
        var failed = RunStateMachine.Apply(running, new RunCommand.Fail(Broken));
        var cancelling = RunStateMachine.Apply(running, new RunCommand.RequestCancel("me", "why"));
        var resumed = RunStateMachine.Apply(paused.State, new RunCommand.Resume("you"));

        Assert.Equal(PauseCause.Budget, paused.State.Paused);
        Assert.Equal(new EntryBody.Paused(PauseCause.Budget, "spent"), paused.Writes.Single().Body);
        Assert.Equal((WaitReason.Sandbox, Later), (waiting.State.Waiting, waiting.DueAt.At));
        Assert.Equal(new EntryBody.RunEnded(RunStatus.Completed, "42", null), completed.Writes.Single().Body);
        Assert.Equal(new EntryBody.RunEnded(RunStatus.Failed, null, Broken), failed.Writes.Single().Body);
        Assert.Equal(new EntryBody.CancelRequested("me", "why"), cancelling.Writes.Single().Body);
        Assert.Equal(new EntryBody.Resumed("you"), resumed.Writes.Single().Body);
    }

    [Fact]
    public void What_stays_of_the_files_is_journaled_right_before_the_end()
    {
        var kept = new EntryBody.WorkspaceKept(WorkspaceKeep.Artifacts, "root");

        foreach (var end in new RunCommand.End[] { new RunCommand.Complete("42"), new RunCommand.Fail(Broken), new RunCommand.ConfirmCancel() })
        {
            var ended = RunStateMachine.Apply(new RunState(RunStatus.Running), end with { Kept = kept });
            Assert.Equal([EntryKind.WorkspaceKept, EntryKind.RunEnded], ended.Writes.Select(w => w.Kind));
            Assert.Equal(kept, ended.Writes[0].Body);
            Assert.Empty(RunStateMachine.Apply(ended.State, end with { Kept = kept }).Writes);
        }
    }

    private static string Describe(Transition transition)
    {
        if (transition.Ignored)
            return ".";
        var words = new List<string> { transition.State.Status.ToString() };
        if (transition.DueAt.Kind != DueKind.Unchanged)
            words.Add(Words.Of(transition.DueAt.Kind));
        if (transition.Release)
            words.Add("free");
        words.AddRange(transition.Writes.Select(w => w.Kind.ToString()));
        return string.Join(' ', words);
    }
}
