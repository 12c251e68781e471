using System.Text;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

public abstract class TerminalTests(Boxes boxes)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private ISandbox Box => boxes.Shared;

    [Fact]
    public async Task A_shell_on_a_terminal_reads_what_is_typed_and_ends_with_its_code()
    {
        await using var shell = await OpenAsync(["/bin/sh"]);
        var screen = new Screen(shell);

        await shell.WriteAsync("tty >/dev/null && stty size && echo user-$(id -u); exit 7\n"u8.ToArray(), default);
        var end = await shell.Ended.WaitAsync(Limit, TimeProvider.System);

        Assert.Equal(7, end.ExitCode);
        await screen.ShowsAsync("33 111");
        await screen.ShowsAsync("user-10001");
    }

    [Fact]
    public async Task A_new_size_reaches_the_program()
    {
        await using var shell = await OpenAsync(["/bin/sh", "-c", "trap 'stty size' WINCH; echo set; while :; do sleep 0.05; done"]);
        var screen = new Screen(shell);
        await screen.ShowsAsync("set");

        await shell.ResizeAsync(new TerminalSize(40, 132), default);

        await screen.ShowsAsync("40 132");
    }

    [Fact]
    public async Task Control_c_interrupts_the_command_and_not_the_shell()
    {
        await using var shell = await OpenAsync(["/bin/bash", "--norc", "-i"]);
        var screen = new Screen(shell);
        // The program says so itself: until it runs, the foreground is still the shell's.
        await shell.WriteAsync("sh -c 'echo star\"\"ted; exec sleep 600'\n"u8.ToArray(), default);
        await screen.ShowsAsync("started");

        await shell.WriteAsync("\u0003"u8.ToArray(), default);
        await shell.WriteAsync("echo af''ter; exit 3\n"u8.ToArray(), default);

        await screen.ShowsAsync("after");
        Assert.Equal(3, (await shell.Ended.WaitAsync(Limit, TimeProvider.System)).ExitCode);
    }

    [Fact]
    public async Task A_closed_terminal_takes_its_programs_with_it()
    {
        var shell = await OpenAsync(["/bin/sh", "-c", "trap '' HUP TERM; echo up; (sleep 8123 &) ; sleep 8123"]);
        await new Screen(shell).ShowsAsync("up");

        await shell.DisposeAsync();

        await Eventually.SeesAsync(() => Box.MustAsync("ps axo args | grep -c '[s]leep 8123' || true"), left => left == "0");
    }

    [Fact]
    public async Task An_open_terminal_keeps_the_box_thawed()
    {
        await using var shell = await OpenAsync(["/bin/cat"]);
        var screen = new Screen(shell);

        await Box.FreezeAsync(default);
        await shell.WriteAsync("one\n"u8.ToArray(), default);
        await screen.ShowsAsync("one");
        await Box.SaveWorkspaceAsync(default);
        await shell.WriteAsync("two\n"u8.ToArray(), default);

        await screen.ShowsAsync("two");
    }

    [Fact]
    public async Task A_program_that_is_not_there_is_told()
    {
        var outcome = await Box.OpenTerminalAsync(new TerminalRequest(["/no/such"], null, new Dictionary<string, string>(), new TerminalSize(24, 80)), default);

        Assert.Contains("/no/such", Assert.IsType<TerminalOutcome.NotStarted>(outcome).Failure.Message, StringComparison.Ordinal);
    }

    private async Task<ISandboxTerminal> OpenAsync(string[] command)
    {
        var outcome = await Box.OpenTerminalAsync(new TerminalRequest(command, null, new Dictionary<string, string> { ["TERM"] = "dumb" }, new TerminalSize(33, 111)), default);
        Assert.True(outcome is TerminalOutcome.Opened, $"{outcome}");
        return ((TerminalOutcome.Opened)outcome).Terminal;
    }
}

/// <summary>Collects what a terminal shows.</summary>
internal sealed class Screen
{
    private readonly StringBuilder _text = new();

    public Screen(ISandboxTerminal terminal) => _ = CollectAsync(terminal);

    public Task<string> ShowsAsync(string text) => Eventually.SeesAsync(() => Task.FromResult(Text), shown => shown.Contains(text, StringComparison.Ordinal), TimeSpan.FromSeconds(20));

    private string Text
    {
        get
        {
            lock (_text)
                return _text.ToString();
        }
    }

    private async Task CollectAsync(ISandboxTerminal terminal)
    {
        await foreach (var bytes in terminal.ReadAsync(default))
            lock (_text)
                _text.Append(Encoding.UTF8.GetString(bytes.Span));
    }
}
