using System.Diagnostics;
using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Boxes;

/// <summary>The command line in a real box of a run that waits.</summary>
[Collection(nameof(BoxServer))]
public sealed class SandboxCommandTests(BoxServer boxes)
{
    private readonly ServerProcess _server = boxes.Server;

    [Fact]
    public async Task Exec_parts_the_streams_passes_the_exit_code_on_and_leaves_the_box_frozen()
    {
        var answer = await _server.RunAsync("sandbox", "exec", boxes.Box[..6], "--", "sh", "-c", "echo out; echo err >&2; exit 3");

        Assert.Equal((3, "out\n", "err\n"), (answer.Exit, answer.Out, answer.Error));
        await boxes.RestingAsync(boxes.Run);
    }

    [Fact]
    public async Task Exec_passes_standard_input_on_where_it_is_asked_to()
    {
        // Bytes and not text: a megabyte, which is many frames, and its sum on the other side.
        var much = string.Concat(Enumerable.Repeat("0123456789abcde\n", 1 << 16));
        var sum = Convert.ToHexStringLower(global::System.Security.Cryptography.SHA256.HashData(global::System.Text.Encoding.ASCII.GetBytes(much)));

        var passed = await ExecAsync(much, "-i", boxes.Box, "--", "sh", "-c", "sha256sum; exit 7");
        var empty = await ExecAsync("", "-i", boxes.Box, "--", "wc", "-c");
        var unread = await ExecAsync(much, "-i", boxes.Box, "--", "true");
        var unasked = await ExecAsync("lost", boxes.Box, "--", "wc", "-c");
        var large = await ExecAsync(new string('x', SandboxExecRequest.MaxStdinBytes + 1), "-i", boxes.Box, "--", "touch", "ran");

        Assert.Equal((7, $"{sum}  -\n"), (passed.Exit, passed.Out));
        Assert.Equal((0, "0\n"), (empty.Exit, empty.Out));
        Assert.Equal(0, unread.Exit);
        Assert.Equal((0, "0\n"), (unasked.Exit, unasked.Out));
        Assert.Equal(125, large.Exit);
        Assert.Contains("sandbox cp", large.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(1, (await _server.RunAsync("sandbox", "exec", boxes.Box, "--", "test", "-e", "ran")).Exit);
    }

    private async Task<int> ExitAsync(params string[] arguments) => (await _server.RunAsync(arguments)).Exit;

    private Task<Answer> ExecAsync(string input, params string[] arguments) =>
        CaissonProgram.RunAsync(["sandbox", "exec", "--server", _server.Address.ToString(), .. arguments], input, _server.Folder.Path);

    [Fact]
    public async Task Exec_says_125_for_what_is_not_the_commands()
    {
        var unknown = await _server.RunAsync("sandbox", "exec", "ffffffff", "--", "true");
        var missing = await _server.RunAsync("sandbox", "exec", boxes.Run, "--", "no-such-program");
        var late = await _server.RunAsync("sandbox", "exec", boxes.Run, "--timeout", "300ms", "--", "sleep", "100");

        Assert.Equal((125, 125, 125), (unknown.Exit, missing.Exit, late.Exit));
        Assert.Contains("caisson sandbox list", unknown.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("no-such-program", missing.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("--timeout", late.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(boxes.Box, (await boxes.RestingAsync(boxes.Run)).Id);
    }

    [Fact]
    public async Task Who_hangs_up_kills_the_command()
    {
        using var exec = CaissonProgram.Start(["sandbox", "exec", boxes.Box, "--server", _server.Address.ToString(), "--", "sh", "-c", "echo here; exec sleep 3217"], _server.Folder.Path);
        Assert.Equal("here", await exec.StandardOutput.ReadLineAsync());

        exec.Kill();

        await Until.AsyncValue("the command's end", () => _server.RunAsync("sandbox", "exec", boxes.Box, "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 321[7]'"), answer => answer.Out == "0\n");
    }

    [Fact]
    public async Task List_and_pool_are_data_for_programs()
    {
        var list = JsonSerializer.Deserialize((await _server.RunAsync("sandbox", "list", "-o", "json")).Out, SandboxJson.Default.SandboxesView)!;
        var pool = JsonSerializer.Deserialize((await _server.RunAsync("sandbox", "pool", "-o", "json")).Out, SandboxJson.Default.SandboxPoolView)!;
        var table = await _server.RunAsync("sandbox", "list");

        var box = Assert.Single(list.Sandboxes, b => b.Id == boxes.Box);
        Assert.Equal((1, boxes.Run, "gvisor"), (list.Schema, box.Run, box.Provider));
        Assert.InRange(box.MemoryBytes, 1 << 20, 256 << 20);
        Assert.Equal((1, 1, 0), (pool.Schema, pool.Size, pool.Waiting));
        Assert.NotEmpty(pool.Shelves);
        Assert.Contains(boxes.Box, table.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshot_saves_what_is_there_now()
    {
        var before = await _server.RunAsync("sandbox", "snapshot", boxes.Box);
        await _server.RunAsync("sandbox", "exec", boxes.Box, "--", "sh", "-c", "date +%N > stamp");
        var after = await _server.RunAsync("sandbox", "snapshot", boxes.Box, "-o", "json");

        Assert.Equal((0, 0), (before.Exit, after.Exit));
        var (first, second) = (before.Out.Trim(), JsonSerializer.Deserialize(after.Out, SandboxJson.Default.SandboxSnapshotView)!);
        var listed = JsonSerializer.Deserialize((await _server.RunAsync("sandbox", "snapshots", "-o", "json")).Out, SandboxJson.Default.SandboxSnapshotsView)!.Snapshots;
        Assert.Equal((false, boxes.Box, boxes.Run), (second.Live, second.Box, second.Run));
        Assert.Equal(second.Root, Assert.Single(listed, s => s.Id == second.Id).Root);
        Assert.NotEqual(second.Root, Assert.Single(listed, s => s.Id == first).Root);

        var files = await _server.RunAsync("sandbox", "fork", first);
        Assert.Equal(6, files.Exit);
        Assert.Contains("--live", files.ErrorLine, StringComparison.Ordinal);
        var exits = await Task.WhenAll(ExitAsync("sandbox", "rm", first), ExitAsync("sandbox", "rm", second.Id[..12]), ExitAsync("sandbox", "rm", "snap-ffffffff"));
        Assert.Equal([0, 0, 5], exits);
    }

    [Fact]
    public async Task After_rm_the_run_goes_on_in_another_box()
    {
        var (run, box) = await boxes.StartAsync("goer");

        var removed = await _server.RunAsync("sandbox", "rm", box);
        var gone = await _server.RunAsync("sandbox", "rm", box);

        Assert.Equal((0, 5), (removed.Exit, gone.Exit));
        var ended = await _server.EndedAsync(run);
        Assert.Equal((RunStatus.Completed, "Done."), (ended.Status, ended.Result));
        var texts = new List<string>();
        await foreach (var entry in _server.Client.FollowAsync(run, new FollowOptions { Payloads = true }, TestContext.Current.CancellationToken))
            if (entry.Kind == "step_completed" && entry.Body.GetProperty("step").GetProperty("kind").GetString() == "tool")
                texts.Add(entry.Result!.Value.GetProperty("text").GetString()!);
        Assert.Contains("begun", texts[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_shell_is_a_terminal_and_its_exit_code_is_the_shells()
    {
        var (exit, shown) = await InTerminalAsync($"{CaissonProgram.Path} sandbox shell {boxes.Box} --server {_server.Address}; echo code=$?; stty -a | grep -o ' -\\?icanon'", "stty size; tty; echo hi; exit 3\n");

        Assert.Equal(0, exit);
        Assert.Contains("hi\r\n", shown, StringComparison.Ordinal);
        Assert.Contains("code=3", shown, StringComparison.Ordinal);
        Assert.EndsWith(" icanon", shown.TrimEnd(), StringComparison.Ordinal);
        await boxes.RestingAsync(boxes.Run);
    }

    [Fact]
    public async Task A_shell_that_is_terminated_puts_the_terminal_back()
    {
        var (_, shown) = await InTerminalAsync(
            $"({CaissonProgram.Path} sandbox shell {boxes.Box} --server {_server.Address} & p=$!; sleep 3; kill $p; wait $p); stty -a | grep -o ' -\\?icanon'", "");

        Assert.EndsWith(" icanon", shown.TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_shell_needs_a_terminal_and_a_box()
    {
        var piped = await _server.RunAsync("sandbox", "shell", boxes.Box);
        var (_, shown) = await InTerminalAsync($"{CaissonProgram.Path} sandbox shell ffffffff --server {_server.Address}; echo code=$?", "");

        Assert.Equal(2, piped.Exit);
        Assert.Contains("sandbox exec", piped.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("there is no box", shown, StringComparison.Ordinal);
        Assert.Contains("code=125", shown, StringComparison.Ordinal);
    }

    /// <summary>Runs a line of shell on a terminal of its own and types into it.</summary>
    private static async Task<(int Exit, string Shown)> InTerminalAsync(string command, string typed)
    {
        var start = new ProcessStartInfo("script", ["-qec", command, "/dev/null"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["TERM"] = "xterm";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        await process.StandardInput.WriteAsync(typed);
        await process.StandardInput.FlushAsync();
        await process.WaitForExitAsync().WaitAsync(CaissonProgram.Patience, TimeProvider.System);
        return (process.ExitCode, await output);
    }
}
