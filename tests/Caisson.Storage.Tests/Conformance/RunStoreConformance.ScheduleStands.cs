using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_schedule_is_replaced_only_where_it_stands_as_its_reader_saw_it()
    {
        var at = Clock.GetUtcNow();
        NewSchedule Of(string text, ScheduleStand? stands, DateTimeOffset? next) =>
            new("nightly", Ids.NextRandom(), global::System.Text.Encoding.UTF8.GetBytes(text), at, next, false) { Stands = stands };

        Assert.Null(await _host.Schedules.PutScheduleAsync(Of("a", new ScheduleStand(1, at), at), default));
        Assert.NotNull(await _host.Schedules.PutScheduleAsync(Of("a", new ScheduleStand(0, null), at), default));
        Assert.Null(await _host.Schedules.PutScheduleAsync(Of("b", new ScheduleStand(0, null), at), default));
        Assert.True(await _host.Schedules.FireAsync(new ScheduleFire("nightly", 1, at, at.AddHours(1), NewRun(), []), default));
        Assert.Null(await _host.Schedules.PutScheduleAsync(Of("b", new ScheduleStand(1, at), at), default));
        Assert.Null(await _host.Schedules.PutScheduleAsync(Of("b", new ScheduleStand(1, null), at), default));
        Assert.Equal("a", global::System.Text.Encoding.UTF8.GetString(Assert.Single(await _host.Schedules.ListSchedulesAsync(default)).Definition.Span));

        Assert.Equal(2, (await _host.Schedules.PutScheduleAsync(Of("b", new ScheduleStand(1, at.AddHours(1)), null), default))!.Generation);
        Assert.Null(await _host.Schedules.PutScheduleAsync(Of("c", new ScheduleStand(2, at), at), default));
        Assert.Equal(3, (await _host.Schedules.PutScheduleAsync(Of("c", new ScheduleStand(2, null), at), default))!.Generation);
        Assert.Equal(4, (await _host.Schedules.PutScheduleAsync(Of("d", null, at), default))!.Generation);
    }
}
