using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>What happens beside the journal: counted, bounded, and written with the unit that brings it.</summary>
public abstract partial class RunStoreConformance
{
    private RunEvent Event(string subject, string code = "allowed", long sent = 0, string? detail = null) =>
        new(RunEvent.Egress, code, subject, 1, sent, 2 * sent, Clock.GetUtcNow(), Clock.GetUtcNow(), detail);

    [Fact]
    public async Task Events_that_are_alike_are_added_up_in_the_order_of_their_first()
    {
        var run = await CreateAndClaimAsync();
        var (first, begin) = (Event("GET a:443", sent: 5, detail: "/1"), Clock.GetUtcNow());
        run = await AppendAsync(Unit(run) with { Events = [first, Event("GET b:443"), Event("GET a:443", code: "egress_denied", detail: "why")] });
        Clock.Advance(TimeSpan.FromSeconds(3));

        await AppendAsync(Unit(run) with { Events = [Event("GET a:443", sent: 7, detail: "/2"), Event("GET b:443")] });
        await _host.ReopenAsync();

        Assert.Equal(
            [
                new RunEvent("egress", "allowed", "GET a:443", 2, 12, 24, begin, Clock.GetUtcNow(), "/2"),
                new RunEvent("egress", "allowed", "GET b:443", 2, 0, 0, begin, Clock.GetUtcNow(), null),
                new RunEvent("egress", "egress_denied", "GET a:443", 1, 0, 0, begin, begin, "why"),
            ],
            await _host.Events.ReadEventsAsync(run.Id, default));
        Assert.Equal(run.LastSeq, (await FindAsync(run.Id)).LastSeq);
    }

    [Fact]
    public async Task Events_of_a_unit_that_is_not_written_do_not_exist_and_of_one_sent_twice_exist_once()
    {
        var run = await CreateAndClaimAsync();
        var unit = Unit(run) with { Events = [Event("x", sent: 1)] };

        Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(Unit(run) with { Fence = new Fence(_node, run.Epoch + 1), Events = [Event("x")] }, default));
        await AppendAsync(unit);
        await AppendAsync(unit);

        Assert.Equal([(1L, 1L)], (await _host.Events.ReadEventsAsync(run.Id, default)).Select(e => (e.Count, e.Sent)));
    }

    [Fact]
    public async Task A_run_has_a_bounded_number_of_events_and_loses_no_byte_of_the_rest()
    {
        var run = await CreateAndClaimAsync();

        run = await AppendAsync(Unit(run) with { Events = [.. Enumerable.Range(0, RunEvent.MostOfRun + 50).Select(i => Event($"GET h{i}:443", sent: 1))] });
        await AppendAsync(Unit(run) with { Events = [Event("GET another:443", sent: 1), Event("GET h7:443", sent: 1)] });

        var events = await _host.Events.ReadEventsAsync(run.Id, default);
        Assert.Equal(RunEvent.MostOfRun + 1, events.Count);
        Assert.Equal(RunEvent.MostOfRun + 52, events.Sum(e => e.Sent));
        Assert.Equal(("(others)", 51L), (events[^1].Subject, events[^1].Count));
        Assert.Equal(2, events[7].Count);
    }

    [Fact]
    public async Task Events_go_with_their_run()
    {
        var run = await CreateAndClaimAsync();
        run = await AppendAsync(Unit(run) with { Events = [Event("x")] });
        await EndAsync(run);

        Assert.True(await _host.Retention.DeleteRunAsync(run.Id, default));

        Assert.Empty(await _host.Events.ReadEventsAsync(run.Id, default));
    }
}
