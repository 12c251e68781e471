using System.ComponentModel;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Images;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Protocol;
using Caisson.Sandboxes.Reaping;
using Caisson.Sandboxes.Workspaces;
using Microsoft.Extensions.Logging;

namespace Caisson.Sandboxes.Boxes;

/// <summary>What every start needs of the host.</summary>
/// <param name="Boxes">The folder of the boxes' folders.</param>
/// <param name="Checkpoints">The folder of the checkpoints' folders.</param>
internal sealed record BoxSetup(SandboxOptions Options, HostTools Tools, CgroupLayout Layout, string Boxes, string Checkpoints, IBlobStore Blobs, TimeProvider Time, ILogger Logger);

/// <summary>
/// The start of one box, of whatever kind:
/// <list type="number">
/// <item>intent: the box's folder, with who makes it;</item>
/// <item>disk: a sparse image with a file system;</item>
/// <item>cgroup with its limits, sockets, what the kind needs;</item>
/// <item>launcher: namespaces, mount, the kind's program in the cgroup;</item>
/// <item>the guest agent dials and says hello;</item>
/// <item>the run's own: workspace, files, ports; before any command can run.</item>
/// </list>
/// A failure at any of them removes what stands.
/// </summary>
internal sealed class BoxStart(BoxSetup setup, BoxRegistry registry, IBoxKind kind, BoxImage image, string id, CheckpointFolder? from = null)
{
    private static readonly TimeSpan MakeDiskLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5), RemoveLimit = TimeSpan.FromSeconds(15);

    private readonly BoxFolder _folder = new(setup.Boxes, id);
    private readonly BoxCgroup _cgroup = new(setup.Layout, id, setup.Time);
    private GuestLink? _link;
    private BoxProcess? _process;
    private IAsyncDisposable? _carrier;
    private Box? _box;

    /// <summary>The registry expects the box already.</summary>
    public async Task<(Box? Box, Failure? Failure)> RunAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        Failure failure;
        try
        {
            if (await TryAsync(spec, cancellationToken) is not { } reason)
                return (_box, null);
            failure = reason;
        }
        catch (CaissonException e)
        {
            failure = e.ToFailure();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Win32Exception)
        {
            failure = new Failure(ErrorCodes.SandboxStartFailed, $"the box was not started: {e.Message}", Retryable: true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            failure = new Failure(ErrorCodes.SandboxStartFailed, $"the box did not answer within {setup.Options.StartTimeout}: {_process?.Errors}", Retryable: true);
        }
        catch (OperationCanceledException)
        {
            await UndoAsync();
            throw;
        }

        await UndoAsync();
        setup.Logger.LogWarning("Box {Box} was not started: {Code} {Message}", id, failure.Code, failure.Message);
        return (null, failure);
    }

    private async Task<Failure?> TryAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        // 1. Intent.
        _folder.Create();
        BoxIntent.Of(id, kind.Name, spec, _cgroup.Directories, setup.Time.GetUtcNow()).Write(_folder.Intent);

        // 2. Disk, while 3. the rest is made.
        var disk = from is null ? MakeDiskAsync(spec.Limits.DiskBytes, cancellationToken) : CopyDiskAsync(from.Disk, cancellationToken);
        _link = GuestLink.Listen(_folder.Sockets, setup.Time);
        var box = new BoxPlan(_folder, image.Root, spec.Limits, _link.Break);
        var plan = from is null ? await kind.PlanAsync(box, cancellationToken) : await kind.Checkpoints!.PlanAsync(box, from.State, cancellationToken);
        _carrier = plan.Carrier;
        _cgroup.Create(BoxLimits.Of(spec.Limits, plan.ExtraMemoryBytes));
        var commands = from?.Note()?.Commands ?? [];
        _link.Foresee(commands);
        await disk;

        // 4. Launcher, 5. hello.
        _process = BoxProcess.Start(setup.Tools.Guest, LaunchArguments(plan));
        using var limit = new CancellationTokenSource(setup.Options.StartTimeout, setup.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        var connecting = _link.ConnectAsync(either.Token);
        var first = await Task.WhenAny(connecting, _process.Exited, _link.Lost);
        if (first == _link.Lost)
        {
            await limit.CancelAsync();
            return await _link.Lost;
        }

        if (first == _process.Exited)
        {
            await limit.CancelAsync();
            return new Failure(ErrorCodes.SandboxStartFailed, $"{kind.Name} ended with {_process.ExitCode}: {await _process.LastWordsAsync(setup.Time)}", Retryable: true);
        }

        if (await connecting is { } broken)
            return broken;

        // 6. The run's own. The mount is in the launcher's namespace alone; its root folder leads there.
        var path = Encoding.UTF8.GetBytes($"/proc/{_process.Id}/root{_folder.Workspace}");
        var workspaceFolder = Libc.Open(Libc.CurrentDirectory, path, Libc.ReadOnly | Libc.Directory | Libc.NoFollow);
        _box = new Box(
            new BoxParts(_folder, _cgroup, _process, _link, plan, workspaceFolder, new Workspace(setup.Blobs, setup.Time, spec.Limits.DiskBytes))
            {
                Checkpoints = kind.Checkpoints is { } checkpoints ? (checkpoints, setup.Checkpoints) : null,
                Kernel = kind.Kernel,
                Commands = commands,
            },
            kind.Name, image.Digest, spec, setup.Time, setup.Logger, box => registry.Forget(box.Id));
        registry.Add(_box);
        return await _box.EquipAsync(spec, cancellationToken);
    }

    private async Task UndoAsync()
    {
        if (_box is not null)
        {
            await _box.DestroyAsync();
            return;
        }

        if (_process is not null)
            await _process.End(EndLimit, setup.Time);
        if (_carrier is not null)
            await _carrier.DisposeAsync();
        _link?.Dispose();
        await _cgroup.RemoveAsync(RemoveLimit);
        _process?.Dispose();
        await _folder.RemoveAsync(RemoveLimit, setup.Time);
        registry.Forget(id);
    }

    private async Task MakeDiskAsync(long bytes, CancellationToken cancellationToken)
    {
        using (var file = File.OpenHandle(_folder.Image, FileMode.CreateNew, FileAccess.Write))
            RandomAccess.SetLength(file, bytes);
        // No journal: after a crash the image is never read again. No reserved blocks: root does not write there.
        var made = await OutsideProgram.RunAsync(setup.Tools.MakeFileSystem,
            ["-q", "-F", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", _folder.Image], MakeDiskLimit, setup.Time, cancellationToken);
        if (made.ExitCode != 0)
            throw new CaissonException(ErrorCodes.SandboxStartFailed, $"the workspace's disk was not made: {made.Output.Trim()}", isTransient: true);
    }

    private async Task CopyDiskAsync(string disk, CancellationToken cancellationToken)
    {
        if (await DiskCopy.RunAsync(disk, _folder.Image, setup.Time, cancellationToken) is { } problem)
            throw new CaissonException(ErrorCodes.SandboxStartFailed, $"the checkpoint's disk was not copied: {problem}", isTransient: true);
    }

    private List<string> LaunchArguments(LaunchPlan plan)
    {
        var (file, _, thaw) = _cgroup.Freezer;
        var arguments = new List<string> { "launch", "--freeze", file, "--thaw", thaw, "--image", _folder.Image, "--mount", _folder.Mount };
        if (image.HostPrograms is { } usr)
            arguments.AddRange(["--usr", usr]);
        foreach (var procs in _cgroup.ProcsFiles)
            arguments.AddRange(["--cgroup", procs]);
        return [.. arguments, .. plan.Options, "--", .. plan.Command];
    }
}
