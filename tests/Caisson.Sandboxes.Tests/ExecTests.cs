using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

public abstract class ExecTests(Boxes boxes)
{
    private ISandbox Box => boxes.Shared;

    [Fact]
    public async Task Output_error_and_exit_code_come_back_apart()
    {
        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.RunAsync("echo out; echo err >&2; exit 7"));

        Assert.Equal((7, "out\n", "err\n"), (exited.ExitCode, exited.Output.Text(), exited.Error.Text()));
    }

    [Fact]
    public async Task A_signal_is_told_as_128_and_its_number()
    {
        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.RunAsync("kill -TERM $$"));

        Assert.Equal(128 + 15, exited.ExitCode);
    }

    [Fact]
    public async Task A_large_input_arrives_whole()
    {
        var input = new string('x', 3_000_000);

        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.RunAsync("wc -c", input: input));

        Assert.Equal("3000000", exited.Output.Text().Trim());
    }

    [Fact]
    public async Task Input_that_nobody_reads_does_no_harm()
    {
        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.RunAsync("exec 0<&-; echo done", input: new string('x', 1_000_000)));

        Assert.Equal("done\n", exited.Output.Text());
    }

    [Fact]
    public async Task Environment_and_directory_are_those_of_the_request()
    {
        await Box.MustAsync("mkdir -p dir/inner");
        var request = new ExecRequest(["/bin/sh", "-c", "echo $GREETING $HOME; pwd"], "dir/inner",
            new Dictionary<string, string> { ["GREETING"] = "a b" }, default, TimeSpan.FromSeconds(10), 1000);

        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.ExecAsync(request, default));

        Assert.Equal("a b /workspace\n/workspace/dir/inner\n", exited.Output.Text());
    }

    [Theory]
    [InlineData("/no/such/program", null)]
    [InlineData("no-such-program", null)]
    [InlineData("/bin/true", "no/such/directory")]
    public async Task What_cannot_start_is_told_with_its_reason(string program, string? directory)
    {
        var request = new ExecRequest([program], directory, new Dictionary<string, string>(), default, TimeSpan.FromSeconds(10), 1000);

        var failed = Assert.IsType<ExecOutcome.NotStarted>(await Box.ExecAsync(request, default));

        Assert.Equal(ErrorCodes.ToolArguments, failed.Failure.Code);
        Assert.Contains("No such file", failed.Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task At_its_time_limit_the_whole_tree_of_a_command_is_killed()
    {
        var outcome = await Box.RunAsync("echo before; trap '' TERM INT; (setsid sleep 1001 &) ; sleep 1002 & sleep 1003", TimeSpan.FromSeconds(1));

        Assert.Equal("before\n", Assert.IsType<ExecOutcome.TimedOut>(outcome).Output.Text());
        Assert.Equal("", await Box.MustAsync("ps axo args | grep '[s]leep 100' || true"));
    }

    [Fact]
    public async Task What_a_command_leaves_running_ends_with_it()
    {
        await Box.MustAsync("(setsid sh -c 'sleep 2001 & sleep 2002' >/dev/null 2>&1 &); nohup sleep 2003 >/dev/null 2>&1 & sleep 0.2");

        Assert.Equal("", await Box.MustAsync("ps axo args | grep '[s]leep 200' || true"));
    }

    [Fact]
    public async Task Nothing_stays_a_zombie()
    {
        for (var i = 0; i < 5; i++)
            await Box.MustAsync("for i in 1 2 3 4 5; do (sh -c 'sh -c true & true' &); done");

        var states = await Eventually.SeesAsync(() => Box.MustAsync("ps axo stat,ppid,args"), s => !s.Contains('Z', StringComparison.Ordinal));
        Assert.Contains("caisson", await Box.MustAsync("ps axo args"), StringComparison.Ordinal);
        Assert.NotEmpty(states);
    }

    [Fact]
    public async Task Commands_run_side_by_side()
    {
        var first = Box.RunAsync("mkfifo side; echo hello > side");
        var outcomes = await Task.WhenAll(first, Box.RunAsync("until [ -p side ]; do sleep 0.02; done; cat side"), Box.RunAsync("echo third"));

        Assert.Equal(["", "hello\n", "third\n"], outcomes.Select(o => Assert.IsType<ExecOutcome.Exited>(o).Output.Text()));
        await Box.MustAsync("rm side");
    }

    [Fact]
    public async Task A_long_output_keeps_its_head_and_tail_and_counts_the_rest()
    {
        var request = BoxExtensions.Shell("seq 1 300000", maxOutput: 1000);

        var exited = Assert.IsType<ExecOutcome.Exited>(await Box.ExecAsync(request, default));

        Assert.StartsWith("1\n2\n3\n", Encoding.UTF8.GetString(exited.Output.Head.Span), StringComparison.Ordinal);
        Assert.EndsWith("299999\n300000\n", Encoding.UTF8.GetString(exited.Output.Tail.Span), StringComparison.Ordinal);
        Assert.Equal((1988895, 1988895 - 1000), (exited.Output.TotalBytes, exited.Output.CutBytes));
    }

    [Fact]
    public async Task A_flood_ends_at_the_time_limit_within_bounds()
    {
        var request = BoxExtensions.Shell("yes", TimeSpan.FromSeconds(1), maxOutput: 4096);

        var output = Assert.IsType<ExecOutcome.TimedOut>(await Box.ExecAsync(request, default)).Output;

        Assert.Equal(4096, output.Head.Length + output.Tail.Length);
        Assert.True(output.TotalBytes > 1 << 20, $"only {output.TotalBytes} bytes came");
    }

    [Fact]
    public async Task Cancelling_at_any_moment_does_not_end_the_box()
    {
        for (var i = 0; i < 30; i++)
        {
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(i / 2.0), TimeProvider.System);
            try
            {
                await Box.ExecAsync(BoxExtensions.Shell("sleep 0.01"), cancel.Token);
            }
            catch (OperationCanceledException)
            {
            }
        }

        Assert.Equal("alive", await Box.MustAsync("echo alive"));
    }

    [Fact]
    public async Task Cancelling_ends_the_command_and_not_the_box()
    {
        using var cancel = new CancellationTokenSource();
        var running = Box.ExecAsync(BoxExtensions.Shell("echo > started; sleep 3001"), cancel.Token);
        await Eventually.SeesAsync(() => Box.MustAsync("ls"), names => names.Contains("started", StringComparison.Ordinal));

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal("", await Box.MustAsync("rm started; ps axo args | grep '[s]leep 3001' || true"));
    }
}
