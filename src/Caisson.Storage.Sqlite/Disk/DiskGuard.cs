using Caisson.Core;
using Caisson.Core.Lifecycle;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite.Disk;

/// <summary>What an operator sets of the disk's guard.</summary>
public sealed class DiskGuardOptions
{
    public const long DefaultBallast = 64L << 20;

    /// <summary>
    /// Free bytes below which no new work begins. Default (<c>null</c>): 2 GiB or 5 % of the disk, whichever is more.
    /// 0 never refuses work, and a full disk then ends the server.
    /// </summary>
    public long? MinFree { get; init; }

    /// <summary>Bytes kept back for what must still be written on a full disk. Default 64 MiB; 0 keeps none.</summary>
    public long Ballast { get; init; } = DefaultBallast;
}

public enum DiskState
{
    Ok = 1,
    /// <summary>No new work: what is left is for settlements and pauses.</summary>
    Low = 2,
}

/// <summary>
/// Watches the free space of the data directory.
/// <para>
/// Problem: a store that has no space left can neither take work nor close it. So new work stops while there is still
/// space for the end of the old one, and a file of real bytes, the ballast, stands ready to be deleted when even that
/// runs out. States: ok → low (free below the limit) → ok (a quarter above the limit, the ballast in place again; the
/// gap keeps a disk at the limit from flapping). In low, below a quarter of the limit, or when the database said that
/// the disk is full, the ballast goes. When this process dies, the next one finds the ballast or its absence, and the
/// free space, and knows everything.
/// </para>
/// </summary>
public sealed class DiskGuard : IAdmission, IDisposable
{
    private const int CreateAgainAfter = 60;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly string _directory;
    private readonly long? _minFree;
    private readonly Ballast _ballast;
    private readonly ILogger _log;
    private readonly ITimer _timer;
    private readonly Lock _one = new();
    private volatile string? _refusal;
    private bool _unreadable;
    private int _looksWithoutCreating;
    private bool _disposed;

    /// <summary>Looks at once, so that the first answer is true.</summary>
    public DiskGuard(string directory, DiskGuardOptions options, TimeProvider clock, ILogger log)
    {
        (_directory, _minFree, _log) = (Path.GetFullPath(directory), options.MinFree, log);
        _ballast = new Ballast(Ballast.PathIn(_directory), options.Ballast);
        Look();
        _timer = clock.CreateTimer(_ => Look(), null, LookEvery, LookEvery);
    }

    /// <summary>Told after each change of <see cref="State"/>, from the thread that saw it.</summary>
    public event Action<DiskState>? Changed;

    public DiskState State => _refusal is null ? DiskState.Ok : DiskState.Low;

    public string? Refusal => _refusal;

    /// <summary>The database found no space, whatever the last look said: the ballast goes at once.</summary>
    public void SpaceRanOut()
    {
        bool changed;
        lock (_one)
        {
            if (_disposed)
                return;
            Release();
            changed = Set(Refuse("the database found no space left"));
        }

        Tell(changed);
    }

    private void Look()
    {
        // A look that takes longer than a second, because the ballast is being written, is not overtaken.
        if (!_one.TryEnter())
            return;
        var changed = false;
        try
        {
            if (!_disposed)
                changed = Judge();
        }
        finally
        {
            _one.Exit();
        }

        Tell(changed);
    }

    private bool Judge()
    {
        if (Measure() is not var (free, size))
            return false;
        var limit = _minFree ?? DiskLimits.Default(size);
        var next = DiskLimits.Next(State, free, limit, _ballast.IsThere, _ballast.Size);
        if (next.Ballast == BallastMove.Release)
            Release();
        if (next.Ballast == BallastMove.Create)
            Create();
        return Set(next.State == DiskState.Ok ? null : Refuse($"{Sizes.Text(free)} are free and {Sizes.Text(limit)} must be"));
    }

    private (long Free, long Size)? Measure()
    {
        try
        {
            var drive = new DriveInfo(_directory);
            var measured = (drive.AvailableFreeSpace, drive.TotalSize);
            _unreadable = false;
            return measured;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The last answer stands; if the disk is really gone, the writer finds out with its next commit.
            if (!_unreadable)
                _log.LogWarning("free space of {Directory} cannot be read: {Problem}", _directory, e.Message);
            _unreadable = true;
            return null;
        }
    }

    /// <summary>A quota may forbid what the disk has space for: the server works without ballast then, and tries again now and then.</summary>
    private void Create()
    {
        if (--_looksWithoutCreating > 0)
            return;
        try
        {
            _ballast.Create();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _looksWithoutCreating = CreateAgainAfter;
            _log.LogWarning("{Ballast} could not be written: {Problem}", _ballast.Path, e.Message);
        }
    }

    private void Release()
    {
        try
        {
            if (_ballast.Release())
                _log.LogWarning("the disk of {Directory} is almost full: {Bytes} kept back were released", _directory, Sizes.Text(_ballast.Size));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.LogWarning("{Ballast} could not be deleted: {Problem}", _ballast.Path, e.Message);
        }
    }

    private string Refuse(string why) => $"the disk of {_directory} is nearly full: {why}: free space there, or lower storage.min_free";

    private bool Set(string? refusal)
    {
        var before = State;
        _refusal = refusal;
        if (State == before)
            return false;
        if (refusal is null)
            _log.LogWarning("the disk of {Directory} has space again: new work begins", _directory);
        else
            _log.LogError("{Refusal}", refusal);
        return true;
    }

    private void Tell(bool changed)
    {
        if (changed)
            Changed?.Invoke(State);
    }

    /// <summary>The ballast stays: it belongs to the data directory.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_one)
            _disposed = true;
    }
}
