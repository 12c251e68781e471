using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Processes;

namespace Caisson.Core.Tests.Processes;

/// <summary>What a program that begins again finds of its steps, signals and children.</summary>
public sealed class ProcessRecordsTests
{
    private static readonly StepKey[] Waits = [.. Enumerable.Range(0, 4).Select(nth => AskedPlaces.KeyOf("signal", "go", nth))];

    private readonly ProcessRecords _records = new();
    private long _seq;

    [Fact]
    public void Signals_answer_the_waits_for_their_name_in_their_order()
    {
        Signal("go", "1");
        Signal("other", "9");
        Signal("go", "2");

        Assert.Equal(["1", "2", null, null], Waits.Select((_, nth) => SignalOf(nth)));
    }

    [Fact]
    public void A_wait_whose_time_ran_out_takes_no_signal_and_leaves_it_to_the_next()
    {
        Signal("go", "1");
        Add(EntryKind.TimerFired, new EntryBody.TimerFired(), Waits[1].Hash);
        Signal("go", "2");

        Assert.Equal(["1", null, "2", null], Waits.Select((_, nth) => SignalOf(nth)));
    }

    [Fact]
    public void What_a_person_said_of_a_step_stands_for_its_completion()
    {
        var subject = new StepSubject(StepKind.Named, "pay", "", null, null);
        Add(EntryKind.StepResolved, new EntryBody.StepResolved(subject, StepResolutions.Set, "ada", null), "k", "7"u8.ToArray());

        Assert.Equal("7"u8.ToArray(), _records.Find(new StepKey("k"))!.Result.ToArray());
        Assert.Empty(_records.Calls);
    }

    [Fact]
    public void A_child_is_found_by_its_step_and_its_end_by_its_id()
    {
        Add(EntryKind.ChildSpawned, new EntryBody.ChildSpawned("c", "helper", Detached: false), "k");
        Assert.Equal("c", _records.ChildOf(new StepKey("k")));
        Assert.Equal((true, null), _records.OutcomeOf("c"));
        var changed = _records.Changed;

        Add(EntryKind.ChildEnded, new EntryBody.ChildEnded("c", RunStatus.Completed, "done", null), "k");

        Assert.True(changed.IsCompleted);
        Assert.Equal("done", _records.OutcomeOf("c").Outcome!.Result);
        Assert.False(_records.OutcomeOf("another").IsChild);
    }

    private string? SignalOf(int nth) => _records.SignalOf("go", Waits[..(nth + 1)])?.Payload;

    private void Signal(string name, string payload) => Add(EntryKind.SignalConsumed, new EntryBody.SignalConsumed($"i{_seq}", name, payload, "me"));

    private void Add(EntryKind kind, EntryBody body, string? key = null, ReadOnlyMemory<byte> payload = default) =>
        _records.Add(new Arrival(++_seq, DateTimeOffset.UnixEpoch, kind, key, body, payload, Arrival.SlotOf(kind, key, body)!));
}
