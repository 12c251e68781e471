using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Images;
using Caisson.Sandboxes.Pool;
using Caisson.Sandboxes.Reaping;
using Microsoft.Extensions.Logging;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// What the boxes of one server have in common, of whatever kind: their folders, cgroups and images, the room that the
/// host has for them, and those that stand ready. How one starts: <see cref="BoxStart"/>.
/// </summary>
public sealed class BoxHost : ISandboxRegistry, IAsyncDisposable
{
    private const int IdBytes = 8;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private static readonly ExecRequest Warm = new(["/bin/sh", "-c", ":"], null, new Dictionary<string, string>(), default, TimeSpan.FromSeconds(10), 0);

    private readonly IBlobStore _blobs;
    private readonly ILogger _logger;
    private readonly string _boxes;
    private readonly string _checkpoints;
    private readonly ImageStore _images;
    private readonly SemaphoreSlim _starts = new(Environment.ProcessorCount + 1);
    private readonly SemaphoreSlim _preparing = new(1);
    private readonly BoxRegistry _registry = new();
    private readonly BoxAdmission _admission;
    private readonly BoxPool _pool;
    private readonly ITimer _looking;
    private readonly CgroupLayout? _layout;
    private BoxSetup? _setup;
    private int _waitingStarts;
    private int _disposed;

    /// <summary>Does nothing on the host yet; the first probe or box prepares the state directory.</summary>
    public BoxHost(SandboxOptions options, IBlobStore blobs, TimeProvider time, ILogger logger)
    {
        Options = options;
        _blobs = blobs;
        Time = time;
        _logger = logger;
        var state = Path.GetFullPath(options.StateDirectory);
        _boxes = Path.Combine(state, "boxes");
        _checkpoints = Path.Combine(state, "checkpoints");
        Snapshots = Path.Combine(state, "snapshots");
        _images = new ImageStore(options, Path.Combine(state, "images"), time);
        var isLinux = OperatingSystem.IsLinux();
        _layout = isLinux ? CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), options.EffectivePrefix) : null;
        _pool = new BoxPool(options.Pool, () => _admission!.Waiting > 0 || Volatile.Read(ref _waitingStarts) > 0, StartIdleAsync, time);
        _admission = new BoxAdmission(_registry, options.MaxBoxes ?? (isLinux ? HostMemory.MostBoxes() : 0),
            options.MemoryReserve ?? (isLinux ? HostMemory.Reserve() : 0), HostMemory.Available, _pool.TryGiveUp, time);
        _looking = time.CreateTimer(_ => LookAtMemory(), null, Look, Look);
    }

    internal SandboxOptions Options { get; }

    /// <summary>The guest agent's file. Valid once prepared.</summary>
    internal string GuestPath => _setup!.Tools.Guest;

    internal TimeProvider Time { get; }

    /// <summary>The folder of the live snapshots' folders.</summary>
    internal string Snapshots { get; }

    /// <inheritdoc/>
    public IReadOnlyList<SandboxInfo> List() => [.. _registry.Live().Where(b => !b.IsLost).Select(b => b.Describe(_pool.Holds(b)))];

    /// <inheritdoc/>
    public ISandbox? Find(string id) => _registry.Live().FirstOrDefault(b => b.Id == id && !_pool.Holds(b));

    /// <inheritdoc/>
    public SandboxPoolInfo Pool() =>
        new(Options.Pool, _admission.Waiting, [.. _pool.Shelves.Select(s => new SandboxShelf(s.Key.Kind.Name, s.Key.Image, s.Key.DiskBytes, s.Ready))]);

    /// <inheritdoc/>
    public Failure? CheckImage(string name) => _images.Check(name);

    /// <summary>Ends all boxes that are left, whatever their kind.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _looking.DisposeAsync();
        await _pool.DisposeAsync();
        await EndAllAsync(null);
        _admission.Dispose();
        if (_layout is not null)
            foreach (var parent in _layout.Parents)
                BoxCgroup.TryRemove(parent);
        _starts.Dispose();
        _preparing.Dispose();
    }

    internal Box? FindBox(string id) => Find(id) as Box;

    internal void Log(string message) => _logger.LogWarning("{Message}", message);

    internal Task EndAllAsync(string? kind) => Task.WhenAll(_registry.Live(kind).Select(b => b.DestroyAsync()));

    /// <summary>Of the boxes of one kind; <c>null</c> on a host that can have none.</summary>
    internal Reaper? Reaper(string kind) => _layout is null ? null : new Reaper(_layout, _boxes, kind, Time, _registry.Contains);

    /// <summary>Finds the tools and builds the image that boxes share, once; or answers, in words, what is missing.</summary>
    internal async Task<string?> PrepareAsync(CancellationToken cancellationToken)
    {
        if (_setup is not null)
            return null;
        await _preparing.WaitAsync(cancellationToken);
        try
        {
            if (_setup is not null)
                return null;
            if (_layout is null)
                return "cgroups with memory, cpu, pids and freezer (version 1) or version 2 are not mounted";
            if (!Environment.IsPrivilegedProcess)
                return "the server does not run as root, which limits and workspaces need";
            var (tools, lacking) = HostTools.Find(Options);
            if (tools is null)
                return lacking;
            Directory.CreateDirectory(_boxes, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            _images.Prepare(tools.Guest);
            Sweep();
            _setup = new BoxSetup(Options, tools, _layout, _boxes, _checkpoints, _blobs, Time, _logger);
            return null;
        }
        catch (IOException e)
        {
            return $"the state directory cannot be prepared: {e.Message}";
        }
        catch (CaissonException e)
        {
            return e.Message;
        }
        finally
        {
            _preparing.Release();
        }
    }

    /// <summary>A box that stood ready, or a new one; once there is room for it.</summary>
    internal async Task<SandboxCreateOutcome> CreateAsync(IBoxKind kind, SandboxSpec spec, CancellationToken cancellationToken)
    {
        var setup = _setup!;
        var (image, missing) = await _images.ResolveAsync(spec.Limits.Image, setup.Tools.Guest, cancellationToken);
        if (image is null)
            return new SandboxCreateOutcome.Refused(missing!);
        var key = PoolKey.Of(kind, image, spec);
        while (_pool.Take(key, spec) is { } ready)
        {
            if (await ready.EquipAsync(spec, cancellationToken) is not { } unfit)
                return new SandboxCreateOutcome.Started(ready);
            await ready.DestroyAsync();
            // One that died while it waited says nothing about the next; what the run asks for does.
            if (unfit.Code is not (ErrorCodes.SandboxLost or ErrorCodes.SandboxProtocol))
                return new SandboxCreateOutcome.Refused(unfit);
        }

        var id = NewId();
        await _admission.EnterAsync(id, kind.Name, kind.StartBytes, spec.Queued, cancellationToken);
        var (box, failure) = await StartAsync(setup, kind, image, id, spec, cancellationToken);
        return box is not null ? new SandboxCreateOutcome.Started(box) : new SandboxCreateOutcome.Refused(failure!);
    }

    /// <summary>A box from a checkpoint, once there is room for it.</summary>
    /// <param name="folder">Where it is, if not with those of waiting runs.</param>
    internal async Task<SandboxCreateOutcome> RestoreAsync(IBoxKind kind, SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken, CheckpointFolder? folder = null)
    {
        var setup = _setup!;
        folder ??= new CheckpointFolder(_checkpoints, checkpoint.Id);
        var (image, missing) = await _images.ResolveAsync(spec.Limits.Image, setup.Tools.Guest, cancellationToken);
        if (image is null)
            return new SandboxCreateOutcome.Refused(missing!);
        var unfit = kind.Checkpoints is not { } checkpoints || checkpoint.Provider != kind.Name ? $"it is of {checkpoint.Provider}, and {kind.Name} has none of those"
            : checkpoints.Version != checkpoint.Version ? $"it was taken by '{checkpoint.Version}', here is '{checkpoints.Version}'"
            : image.Digest != checkpoint.Image ? "its image has changed since"
            : folder.Note() is null ? "it is not on this host"
            : null;
        if (unfit is not null)
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"checkpoint {checkpoint.Id} cannot be had back: {unfit}"));
        var id = NewId();
        await _admission.EnterAsync(id, kind.Name, kind.StartBytes, spec.Queued, cancellationToken);
        spec = spec with { Workspace = null, Limits = spec.Limits with { DiskBytes = checkpoint.DiskBytes } };
        var (box, failure) = await StartAsync(setup, kind, image, id, spec, cancellationToken, folder);
        return box is not null ? new SandboxCreateOutcome.Started(box) : new SandboxCreateOutcome.Refused(failure!);
    }

    /// <summary>At the start: removes what a crash left half-made of checkpoints and snapshots, and what nobody came back for.</summary>
    public void Sweep()
    {
        CheckpointFolder.Sweep(_checkpoints, Time.GetUtcNow());
        CheckpointFolder.SweepSnapshots(Snapshots);
    }

    /// <summary>Forgets all checkpoints: an earlier state of the store was put back, and they belong to another life of their runs.</summary>
    public void DiscardCheckpoints() => CheckpointFolder.Sweep(_checkpoints, DateTimeOffset.MaxValue);

    internal SandboxCheckpoint? FindCheckpoint(string kind, RunId run) => !Directory.Exists(_checkpoints) ? null : Directory.EnumerateDirectories(_checkpoints)
        .OrderByDescending(Directory.GetLastWriteTimeUtc)
        .Select(d => new CheckpointFolder(_checkpoints, Path.GetFileName(d)).Note()?.Checkpoint)
        .FirstOrDefault(c => c is not null && c.Provider == kind && c.Mark.Run == run);

    internal void Discard(SandboxCheckpoint checkpoint) => new CheckpointFolder(_checkpoints, Path.GetFileName(checkpoint.Id)).Delete();

    /// <summary>One look at all boxes: a program that ran beside a command may be killed long before the next call would find it.</summary>
    private void LookAtMemory()
    {
        foreach (var box in _registry.Live())
            box.EndIfOutOfMemory();
    }

    private static string NewId() => RandomNumberGenerator.GetHexString(2 * IdBytes, lowercase: true);

    private async Task<(Box? Box, Failure? Failure)> StartAsync(BoxSetup setup, IBoxKind kind, BoxImage image, string id, SandboxSpec spec, CancellationToken cancellationToken, CheckpointFolder? from = null)
    {
        Interlocked.Increment(ref _waitingStarts);
        try
        {
            await _starts.WaitAsync(cancellationToken);
        }
        catch
        {
            _registry.Forget(id);
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _waitingStarts);
        }

        try
        {
            return await new BoxStart(setup, _registry, kind, image, id, from).RunAsync(spec, cancellationToken);
        }
        finally
        {
            _starts.Release();
        }
    }

    private async Task<Box?> StartIdleAsync(PoolKey key, SandboxSpec spec, CancellationToken cancellationToken)
    {
        var setup = _setup!;
        var id = NewId();
        if (await _images.ResolveAsync(spec.Limits.Image, setup.Tools.Guest, cancellationToken) is not { Image: { } image } || !_admission.TryEnterIdle(id, key.Kind.Name, key.Kind.StartBytes))
            return null;
        var (box, _) = await StartAsync(setup, key.Kind, image, id, spec, cancellationToken);
        if (box is null)
            return null;
        // A first command costs twice a later one: what the box's kernel reads for it is read now.
        await box.ExecAsync(Warm, cancellationToken);
        await box.FreezeAsync(cancellationToken);
        return box;
    }
}
