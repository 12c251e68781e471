using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

[Collection("gvisor")]
public sealed class CheckpointTests(GVisorBoxes boxes)
{
    private static readonly SandboxSpec Spec = new(default, 1, new SandboxSettings(), null);
    private static readonly CheckpointMark Mark = new(new RunId(Guid.Parse("0193f1c0-0000-7000-8000-00000000000c")), 40, 3, 7, "root");
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_box_comes_back_with_its_files_its_memory_and_its_command_where_it_stood()
    {
        var box = await boxes.CreateAsync(Spec);
        await box.MustAsync("echo saved > file; echo temporary > /tmp/file");
        var written = new List<string>();
        var counting = CountAsync(box, written);
        await Eventually.SeesAsync(() => Task.FromResult(written.Count), n => n > 3);

        var taken = await TakeAsync(box);
        Assert.IsType<ExecOutcome.Lost>(await counting);
        await box.DestroyAsync();
        var restored = await RestoreAsync(taken);

        Assert.Equal("saved temporary", await restored.MustAsync("echo $(cat file /tmp/file)"));
        var before = int.Parse(written[^1], System.Globalization.CultureInfo.InvariantCulture);
        var after = new List<string>();
        var resumed = restored.ResumeExecAsync(Assert.Single(taken.Commands), Counter(after), default);
        await Eventually.SeesAsync(() => Task.FromResult(after.Count), n => n > 3);
        await restored.MustAsync("touch stop");
        var exited = Assert.IsType<ExecOutcome.Exited>(await resumed.WaitAsync(Limit, TimeProvider.System));
        Assert.Equal(5, exited.ExitCode);
        // It counts on: nothing twice, and nothing left out but what was written while nobody listened.
        Assert.InRange(int.Parse(after[0], System.Globalization.CultureInfo.InvariantCulture), before + 1, before + 200);
        await restored.DestroyAsync();
        boxes.Provider.Discard(taken);
    }

    [Fact]
    public async Task One_checkpoint_gives_two_boxes_that_go_their_own_ways()
    {
        var box = await boxes.CreateAsync(Spec);
        await box.MustAsync("echo common > file");
        var taken = await TakeAsync(box);

        var one = await RestoreAsync(taken);
        var other = await RestoreAsync(taken);

        await one.MustAsync("echo one >> file");
        Assert.Equal("common", await other.MustAsync("cat file"));
        Assert.Equal("common one", await one.MustAsync("echo $(cat file)"));
        Assert.Equal(await one.SavedAsync(), await one.SavedAsync());
        await Task.WhenAll(box.DestroyAsync(), one.DestroyAsync(), other.DestroyAsync());
        boxes.Provider.Discard(taken);
        Assert.IsType<SandboxCreateOutcome.Refused>(await boxes.Provider.RestoreAsync(taken, Spec, default));
    }

    /// <summary>The worker of a call closes its connection a moment after the call's answer, and a checkpoint can hold none.</summary>
    [Fact]
    public async Task A_checkpoint_right_after_a_call_or_at_a_command_s_end_is_taken()
    {
        var box = await boxes.CreateAsync(Spec);
        for (var round = 0; round < 4; round++)
        {
            await box.MustAsync("true");
            await box.WriteFileAsync("file", "x"u8.ToArray(), default);
            var ending = box.RunAsync($"sleep 0.0{round}");
            var taken = await TakeAsync(box);
            await ending;
            await box.DestroyAsync();
            box = await RestoreAsync(taken);
            boxes.Provider.Discard(taken);
        }

        Assert.Equal("x", await box.MustAsync("cat file"));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task An_open_terminal_refuses_a_checkpoint_and_the_box_goes_on()
    {
        var box = await boxes.CreateAsync(Spec);
        var opened = Assert.IsType<TerminalOutcome.Opened>(await box.OpenTerminalAsync(new TerminalRequest(["/bin/cat"], null, new Dictionary<string, string>(), new TerminalSize(24, 80)), default));

        Assert.IsType<CheckpointOutcome.Refused>(await box.CheckpointAsync(Mark, default));

        await opened.Terminal.DisposeAsync();
        Assert.Equal("on", await box.MustAsync("echo on"));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_checkpoint_of_another_version_or_image_is_refused()
    {
        var box = await boxes.CreateAsync(Spec);
        var taken = await TakeAsync(box);
        await box.DestroyAsync();

        Assert.Equal(taken.Id, boxes.Provider.FindCheckpoint(Mark.Run)?.Id);
        Assert.Equal(Mark, boxes.Provider.FindCheckpoint(Mark.Run)?.Mark);
        Assert.Null(boxes.Provider.FindCheckpoint(default));
        foreach (var foreign in new[] { taken with { Version = "runsc of tomorrow" }, taken with { Image = "other" }, taken with { Id = "0000000000000000" } })
            Assert.Equal(ErrorCodes.SandboxUnavailable, Assert.IsType<SandboxCreateOutcome.Refused>(await boxes.Provider.RestoreAsync(foreign, Spec, default)).Failure.Code);
        boxes.Provider.Discard(taken);
    }

    [Fact]
    public void A_box_fits_its_run_only_where_it_stood()
    {
        Assert.True(Mark.Fits(Mark));
        Assert.True(Mark.Fits(Mark with { Seq = 50, Epoch = 9 }));
        Assert.False(Mark.Fits(Mark with { Epoch = 2 }));
        Assert.False(Mark.Fits(Mark with { Seq = 39 }));
        Assert.False(Mark.Fits(Mark with { ToolCalls = 8 }));
        Assert.False(Mark.Fits(Mark with { Workspace = null }));
        Assert.False(Mark.Fits(Mark with { Run = default }));
    }

    private static async Task<SandboxCheckpoint> TakeAsync(ISandbox box)
    {
        var outcome = await box.CheckpointAsync(Mark, default);
        Assert.True(outcome is CheckpointOutcome.Taken, $"{outcome}");
        return ((CheckpointOutcome.Taken)outcome).Checkpoint;
    }

    private async Task<ISandbox> RestoreAsync(SandboxCheckpoint checkpoint)
    {
        var outcome = await boxes.Provider.RestoreAsync(checkpoint, Spec, default);
        Assert.True(outcome is SandboxCreateOutcome.Started, (outcome as SandboxCreateOutcome.Refused)?.Failure.Message);
        return ((SandboxCreateOutcome.Started)outcome).Sandbox;
    }

    private static Task<ExecOutcome> CountAsync(ISandbox box, List<string> lines) => box.ExecAsync(Counter(lines), default);

    private static ExecRequest Counter(List<string> lines) => BoxExtensions.Shell(
        "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 5", TimeSpan.FromMinutes(1)) with
    {
        Observe = (chunk, _) =>
        {
            lines.AddRange(System.Text.Encoding.ASCII.GetString(chunk.Bytes.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries));
            return ValueTask.CompletedTask;
        },
    };
}
