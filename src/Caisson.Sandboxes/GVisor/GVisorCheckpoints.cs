using System.Globalization;
using Caisson.Contracts;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.GVisor;

/// <summary>
/// Checkpoints by runsc. It looks a box's processes up by their numbers, so it has to run in the box's PID namespace and
/// see that one's /proc; and it may hang, so it has a hard limit.
/// </summary>
internal sealed class GVisorCheckpoints(Runsc runsc, SandboxOptions options, TimeProvider time) : IBoxCheckpoints
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public string Version => runsc.Version;

    public Task<Failure?> TakeAsync(BoxFolder box, int launcher, string folder, CancellationToken cancellationToken) =>
        RunAsync(box, launcher, cancellationToken, "checkpoint", $"--image-path={folder}");

    /// <summary>A box that was paused before its checkpoint stays so after it, and its programs write nothing until it is resumed.</summary>
    public async Task<Failure?> CopyAsync(BoxFolder box, int launcher, string folder, Func<Task<Failure?>> meanwhile)
    {
        Failure? failure = null, unresumed = null;
        try
        {
            failure = await RunAsync(box, launcher, default, "pause")
                ?? await RunAsync(box, launcher, default, "checkpoint", $"--image-path={folder}", "--leave-running")
                ?? await meanwhile();
        }
        finally
        {
            // Also after a pause that failed: it may have come to be after all.
            unresumed = await RunAsync(box, launcher, default, "resume");
        }

        return failure ?? unresumed;
    }

    public async Task<LaunchPlan> PlanAsync(BoxPlan box, string folder, CancellationToken cancellationToken)
    {
        await File.WriteAllBytesAsync(box.Folder.Configuration, OciBundle.Write(box.Root, box.Folder, box.Limits.MemoryBytes), cancellationToken);
        return new LaunchPlan(runsc.RunCommand(box.Folder.RunscState, box.Folder.Path, box.Folder.Id, options.DirectFiles, folder), []);
    }

    private async Task<Failure?> RunAsync(BoxFolder box, int launcher, CancellationToken cancellationToken, params string[] command)
    {
        if (HostTools.Find(null, "nsenter") is not { } enter)
            return new Failure(ErrorCodes.SandboxUnavailable, "nsenter (package util-linux) is not installed: checkpoints need it");
        var inside = int.Parse((await File.ReadAllTextAsync($"/proc/{launcher}/task/{launcher}/children", cancellationToken)).Split(' ')[0], CultureInfo.InvariantCulture);
        var ran = await OutsideProgram.RunAsync(enter,
            [$"--target={inside}", "--pid", "--mount", "--", runsc.Path, $"--root={box.RunscState}", .. command, box.Id], Limit, time, cancellationToken);
        return ran.ExitCode == 0 ? null : new Failure(ErrorCodes.SandboxLost, $"runsc {command[0]}: {ran.Output.Trim().Split('\n')[^1]}");
    }
}
