using Caisson.Client;
using Caisson.Contracts;
using Caisson.Storage.Tests.Safety;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Faults;

/// <summary>Disks that fill up and disks that fail, under a real server: nothing that was acknowledged is lost, and the server comes back by itself.</summary>
public sealed class DiskTests
{
    private const long MiB = 1 << 20;

    [Fact]
    public async Task On_a_full_disk_what_is_under_way_is_recorded_nothing_begins_and_all_goes_on_when_there_is_space()
    {
        Assert.SkipUnless(SmallDisk.CanBeHad, "needs the right to mount");
        using var disk = new SmallDisk(128);
        await using var server = await ServerProcess.StartAsync(supervise: true, data: disk["data"], more: "[storage]\nmin_free = \"32MiB\"\nballast = \"16MiB\"");
        var under = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(under, CancellationToken.None), run => run.LastSeq >= 3);

        // Nearly full: the call's answer is settled, and a new run is kept for later.
        disk.FillTo(20 * MiB);
        var refusal = await Until.AsyncValue("the server is not ready", () => server.Client.ReadyAsync(CancellationToken.None), ready => !ready.Ready);
        Assert.Contains("20 MiB are free and 32 MiB must be", refusal.Reason, StringComparison.Ordinal);
        Assert.Contains("storage.min_free", refusal.Reason, StringComparison.Ordinal);
        Assert.Equal(RunStatus.Completed, (await server.EndedAsync(under)).Status);
        var waits = await server.CreateAsync(ServerProcess.Manifest, "later");
        Assert.Equal(RunStatus.Ready, (await server.Client.GetRunAsync(waits, CancellationToken.None)).Status);

        // Full: the ballast goes, and is used up too.
        disk.FillTo(0);
        await Until.True("the ballast is gone", () => disk.Free > 0);
        disk.FillTo(0);
        var failed = await Record.ExceptionAsync(async () =>
        {
            while (true)
                await server.CreateAsync(ServerProcess.Manifest, new string('x', 900_000));
        });
        Assert.True(failed is ApiException or HttpRequestException or ServerUnreachableException, $"{failed}");

        disk.Clear();

        await Until.AsyncValue("it is ready again", () => server.AskAsync(client => client.ReadyAsync(CancellationToken.None)), ready => ready.Ready);
        Assert.Equal("You said: later", (await server.EndedAsync(waits)).Result);
        Assert.Equal("late", (await server.EndedAsync(under)).Result);
        await server.AssertSoundAsync();
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_disk_that_fails_a_sync_ends_the_server_and_the_next_one_knows_everything_that_was_acknowledged()
    {
        using var folder = new Folder();
        var fail = Path.Combine(folder.Path, "fail");
        var (name, value) = Preload.Build(folder, "failing_sync.c");
        await using var server = await ServerProcess.StartAsync(supervise: true, environment: new Dictionary<string, string> { [name] = value, ["FAIL_SYNC"] = fail });
        var done = await server.CreateAsync(ServerProcess.Manifest, "before");
        Assert.Equal("You said: before", (await server.EndedAsync(done)).Result);
        var under = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(under, CancellationToken.None), run => run.LastSeq >= 3);

        await File.WriteAllTextAsync(fail, "");

        // The lease alone would notice: nothing that fails to sync is asked again, the process ends.
        await Until.True("the server ended itself", () => server.Log.Any(line => line.Contains("ended with exit code 75", StringComparison.Ordinal)));
        Assert.Contains(server.Log, line => line.Contains("check the disk", StringComparison.Ordinal));
        File.Delete(fail);

        Assert.Equal("late", (await server.EndedAsync(under)).Result);
        Assert.Equal("You said: before", (await server.EndedAsync(done)).Result);
        await server.AssertSoundAsync();
        Assert.Equal(0, await server.StopAsync());
    }
}
