namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_kill_switch_is_replaced_only_where_it_stands_as_it_was_read_and_outlives_the_process()
    {
        byte[] first = [1, 2], second = [3];
        Assert.True((await _host.KillSwitch.ReadKillSwitchAsync(default)).IsEmpty);

        Assert.True(await _host.KillSwitch.ReplaceKillSwitchAsync(default, first, default));
        Assert.False(await _host.KillSwitch.ReplaceKillSwitchAsync(default, second, default));
        await _host.ReopenAsync();
        Assert.Equal(first, (await _host.KillSwitch.ReadKillSwitchAsync(default)).ToArray());

        Assert.True(await _host.KillSwitch.ReplaceKillSwitchAsync(first, second, default));
        Assert.Equal(second, (await _host.KillSwitch.ReadKillSwitchAsync(default)).ToArray());
    }

    [Fact]
    public async Task Of_many_that_replace_the_same_kill_switch_one_does()
    {
        var outcomes = await Task.WhenAll(Enumerable.Range(1, 20).Select(i => _host.KillSwitch.ReplaceKillSwitchAsync(default, new[] { (byte)i }, default)));

        Assert.Single(outcomes, won => won);
    }
}
