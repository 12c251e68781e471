using Caisson.Core.Lifecycle;
using Caisson.Storage.Sqlite.Disk;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

/// <summary>On a real disk of 16 MiB: 4 MiB must be free, 2 MiB are kept back.</summary>
public sealed class DiskGuardTests
{
    private const int MiB = 1 << 20;

    private static readonly DiskGuardOptions Options = new() { MinFree = 4 * MiB, Ballast = 2 * MiB };

    private readonly FakeTimeProvider _clock = new();

    [Fact]
    public void A_disk_that_fills_refuses_work_gives_its_ballast_and_recovers()
    {
        Assert.SkipUnless(SmallDisk.CanBeHad, "needs the right to mount");
        using var disk = new SmallDisk(16);
        var told = new List<DiskState>();
        using var guard = new DiskGuard(disk.Path, Options, _clock, NullLogger.Instance);
        guard.Changed += told.Add;

        Assert.Equal(DiskState.Ok, guard.State);
        Assert.Null(guard.Refusal);
        Assert.Equal(2 * MiB, new FileInfo(disk["ballast"]).Length);
        Assert.Equal(14 * MiB, disk.Free);

        disk.FillTo(3 * MiB);
        Tick();
        Assert.Equal(DiskState.Low, guard.State);
        Assert.Contains("3 MiB are free and 4 MiB must be", guard.Refusal, StringComparison.Ordinal);
        Assert.Contains("storage.min_free", guard.Refusal, StringComparison.Ordinal);
        Assert.True(File.Exists(disk["ballast"]), "the ballast is for the last need");

        disk.FillTo(MiB / 2);
        Tick();
        Assert.False(File.Exists(disk["ballast"]));
        Assert.Equal(2 * MiB + MiB / 2, disk.Free);

        disk.Clear();
        Tick();
        Assert.Equal(DiskState.Ok, guard.State);
        Assert.Equal(2 * MiB, new FileInfo(disk["ballast"]).Length);
        Assert.Equal([DiskState.Low, DiskState.Ok], told);
    }

    [Fact]
    public void A_disk_at_the_limit_does_not_flap()
    {
        Assert.SkipUnless(SmallDisk.CanBeHad, "needs the right to mount");
        using var disk = new SmallDisk(16);
        using var guard = new DiskGuard(disk.Path, Options, _clock, NullLogger.Instance);
        disk.FillTo(4 * MiB - 4096);
        Tick();
        Assert.Equal(DiskState.Low, guard.State);

        disk.Clear();
        disk.FillTo(5 * MiB - 4096);
        Tick();
        Assert.Equal(DiskState.Low, guard.State);

        disk.Clear();
        disk.FillTo(5 * MiB);
        Tick();
        Assert.Equal(DiskState.Ok, guard.State);
    }

    [Fact]
    public void A_full_disk_has_space_for_a_commit_as_soon_as_the_database_says_so()
    {
        Assert.SkipUnless(SmallDisk.CanBeHad, "needs the right to mount");
        using var disk = new SmallDisk(16);
        using var guard = new DiskGuard(disk.Path, Options, _clock, NullLogger.Instance);
        disk.FillTo(0);
        Assert.Throws<IOException>(() => File.WriteAllBytes(disk["settlement"], new byte[MiB]));

        guard.SpaceRanOut();

        File.WriteAllBytes(disk["settlement"], new byte[MiB]);
        Assert.Equal(DiskState.Low, guard.State);
        Assert.Contains("no space left", guard.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void A_start_on_a_full_disk_is_low_at_once_and_takes_no_space()
    {
        Assert.SkipUnless(SmallDisk.CanBeHad, "needs the right to mount");
        using var disk = new SmallDisk(16);
        disk.FillTo(3 * MiB);

        using var guard = new DiskGuard(disk.Path, Options, _clock, NullLogger.Instance);

        Assert.Equal(DiskState.Low, guard.State);
        Assert.False(File.Exists(disk["ballast"]));
        Assert.Equal(3 * MiB, disk.Free);
    }

    [Fact]
    public void A_ballast_that_a_crash_cut_short_is_written_anew()
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["ballast"], new byte[100]);

        using var guard = new DiskGuard(folder.Path, new DiskGuardOptions { MinFree = 1, Ballast = MiB + 5 }, _clock, NullLogger.Instance);

        Assert.Equal(MiB + 5, new FileInfo(folder["ballast"]).Length);
    }

    [Fact]
    public void Without_ballast_there_is_no_file()
    {
        using var folder = new TempFolder();

        using var guard = new DiskGuard(folder.Path, new DiskGuardOptions { MinFree = 1, Ballast = 0 }, _clock, NullLogger.Instance);

        Assert.Equal(DiskState.Ok, guard.State);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData(10L << 30, 2L << 30)]
    [InlineData(100L << 30, 5L << 30)]
    public void The_limit_is_two_gibibytes_or_a_twentieth(long size, long limit) => Assert.Equal(limit, DiskLimits.Default(size));

    [Fact]
    public void A_ballast_that_does_not_fit_yet_keeps_nobody_from_working()
    {
        Assert.Equal((DiskState.Ok, BallastMove.None), DiskLimits.Next(DiskState.Ok, free: 110, limit: 100, ballastIsThere: false, ballast: 20));
        Assert.Equal((DiskState.Ok, BallastMove.Create), DiskLimits.Next(DiskState.Ok, free: 120, limit: 100, ballastIsThere: false, ballast: 20));
    }

    [Fact]
    public void The_first_gate_that_refuses_gives_the_reason()
    {
        Assert.Null(new Admissions([new Gate(null), new Gate(null)]).Refusal);
        Assert.Equal("b", new Admissions([new Gate(null), new Gate("b"), new Gate("c")]).Refusal);
    }

    private void Tick() => _clock.Advance(TimeSpan.FromSeconds(1));

    private sealed record Gate(string? Refusal) : IAdmission;
}
