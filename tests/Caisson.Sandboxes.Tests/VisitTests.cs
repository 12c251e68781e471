using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

/// <summary>People in a box beside its owner: neither may stop the other's command.</summary>
public abstract class VisitTests(Boxes boxes)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private ISandbox Box => boxes.Shared;

    private bool IsFrozen => ((Caisson.Sandboxes.Boxes.Box)Box).IsFrozen;

    [Fact]
    public async Task An_owner_that_rests_stops_no_visitor_and_the_last_to_leave_has_the_box_frozen()
    {
        await using (Box.Visit())
        {
            await using (Box.Visit())
                await Box.FreezeAsync(default);
            await Box.SaveWorkspaceAsync(default);
            Assert.False(IsFrozen);
            await Box.MustAsync("echo here");
        }

        Assert.True(IsFrozen);
    }

    [Fact]
    public async Task A_visitor_who_leaves_stops_no_command_of_the_owner()
    {
        var visit = Box.Visit();
        var began = new TaskCompletionSource();
        var command = Box.ExecAsync(new ExecRequest(["/bin/sh", "-c", "echo begun; sleep 1; echo done"], null, new Dictionary<string, string>(), default, Limit, 1024)
        {
            Observe = (_, _) =>
            {
                began.TrySetResult();
                return ValueTask.CompletedTask;
            },
        }, default);
        await began.Task.WaitAsync(Limit, TimeProvider.System);

        await visit.DisposeAsync();

        Assert.False(IsFrozen);
        Assert.Equal(0, Assert.IsType<ExecOutcome.Exited>(await command.WaitAsync(Limit, TimeProvider.System)).ExitCode);
    }
}
