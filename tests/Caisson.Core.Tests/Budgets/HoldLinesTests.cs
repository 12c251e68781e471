using Caisson.Core.Budgets;

namespace Caisson.Core.Tests.Budgets;

public sealed class HoldLinesTests
{
    private readonly HoldLines _lines = new(new EngineTasks(TaskScheduler.Default));

    [Fact]
    public void Who_comes_first_is_served_first_and_whoever_comes_later_sees_the_line()
    {
        Assert.Null(_lines.Waited(["tenant:a", "run:1"]));
        var first = _lines.Join("tenant:a");
        var second = _lines.Join("tenant:a");

        Assert.True(first.IsFirst && !second.IsFirst);
        Assert.Equal("tenant:a", _lines.Waited(["tenant:a", "run:2"]));
        Assert.Null(_lines.Waited(["tenant:b", "run:3"]));

        first.Dispose();
        Assert.True(second.IsFirst && second.Wake.Take());
        second.Dispose();
        Assert.Null(_lines.Waited(["tenant:a"]));
    }

    [Fact]
    public void What_is_freed_wakes_the_first_of_each_line_on_the_path_alone()
    {
        using var tenant = _lines.Join("tenant:a");
        using var behind = _lines.Join("tenant:a");
        using var run = _lines.Join("run:1");
        using var other = _lines.Join("run:2");

        _lines.Freed(["tenant:a", "run:1"]);

        Assert.Equal([true, false, true, false], new[] { tenant, behind, run, other }.Select(p => p.Wake.Take()));
    }

    [Fact]
    public void One_that_leaves_from_the_middle_leaves_the_order_as_it_was()
    {
        using var first = _lines.Join("n");
        var middle = _lines.Join("n");
        using var last = _lines.Join("n");

        middle.Dispose();
        middle.Dispose();

        Assert.True(first.IsFirst && !first.Wake.IsSet);
        first.Dispose();
        Assert.True(last.IsFirst && last.Wake.IsSet);
    }
}
