using System.Buffers.Binary;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;
using Microsoft.Data.Sqlite;

namespace Caisson.System.Tests.Damage;

/// <summary>A server is killed, its data directory is damaged, and it is started again: what is whole goes on, and what is not says where and what to do.</summary>
public sealed class DamageTests
{
    private static readonly string Large = "large " + new string('x', 20_000);

    [Fact]
    public async Task A_run_with_an_entry_of_an_unknown_kind_is_paused_with_its_reason_and_the_others_go_on()
    {
        await using var server = await ServerProcess.StartAsync();
        var (bad, good) = await TwoUnderWayAsync(server);
        await server.KillAsync();
        await ExecuteAsync(server, $"UPDATE journal SET kind = 99 WHERE seq = 2 AND run = (SELECT id FROM runs WHERE run_id = '{bad}')");

        await server.LaunchAsync();

        var paused = await server.EndedAsync(bad);
        Assert.Equal((RunStatus.Paused, PauseCause.Corrupt), (paused.Status, paused.Paused));
        Assert.Contains("an entry of kind 99, which this server does not know: use the server version that wrote it", paused.Detail, StringComparison.Ordinal);
        Assert.Equal("late", (await server.EndedAsync(good)).Result);
        var verify = await server.RunAsync("journal", bad, "--verify");
        Assert.Equal(1, verify.Exit);
        Assert.Contains($"{bad} 2 ", verify.Out, StringComparison.Ordinal);
        Assert.Contains("wakes   nothing by itself", (await server.RunAsync("why", bad)).Out, StringComparison.Ordinal);

        // Nothing of it was lost: mended, it goes on.
        await server.KillAsync();
        await ExecuteAsync(server, $"UPDATE journal SET kind = 2 WHERE kind = 99");
        await server.LaunchAsync();
        Assert.Equal("late\n", (await server.RunAsync("retry", bad, "--wait", "-q")).Out);
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_run_whose_blob_is_not_what_it_was_is_paused_with_the_file_and_goes_on_when_it_is_restored()
    {
        await using var server = await ServerProcess.StartAsync();
        var (bad, good) = await TwoUnderWayAsync(server, Large);
        await server.KillAsync();
        var blob = Assert.Single(Directory.EnumerateFiles(Path.Combine(server.Data, "blobs"), "*", SearchOption.AllDirectories), file => new FileInfo(file).Length > 0 && Path.GetFileName(file).Length > 32);
        var whole = await File.ReadAllBytesAsync(blob);
        var damaged = whole.ToArray();
        damaged[^20] ^= 1;
        await File.WriteAllBytesAsync(blob, damaged);

        await server.LaunchAsync();

        var paused = await server.EndedAsync(bad);
        Assert.Equal((RunStatus.Paused, PauseCause.Corrupt), (paused.Status, paused.Paused));
        Assert.Contains(blob, paused.Detail, StringComparison.Ordinal);
        Assert.Contains("from a backup", paused.Detail, StringComparison.Ordinal);
        Assert.Equal("late", (await server.EndedAsync(good)).Result);
        Assert.Equal(1, (await server.RunAsync("journal", bad, "--verify")).Exit);
        var refused = await server.RunAsync("fork", bad);
        Assert.NotEqual(0, refused.Exit);
        Assert.Contains(Path.GetFileName(blob), refused.ErrorLine, StringComparison.Ordinal);

        await File.WriteAllBytesAsync(blob, whole);

        Assert.Equal("late\n", (await server.RunAsync("retry", bad, "--wait", "-q")).Out);
        await server.AssertSoundAsync();
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_fork_of_a_run_whose_blobs_are_gone_is_refused_and_leaves_nothing()
    {
        await using var server = await ServerProcess.StartAsync();
        var run = await server.CreateAsync(ServerProcess.Manifest, Large);
        Assert.Equal(RunStatus.Completed, (await server.EndedAsync(run)).Status);
        foreach (var blob in Directory.EnumerateFiles(Path.Combine(server.Data, "blobs"), "*", SearchOption.AllDirectories))
            File.Delete(blob);

        var refused = await server.RunAsync("fork", run);

        Assert.Equal(6, refused.Exit);
        Assert.StartsWith("caisson: ", refused.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("blob", refused.ErrorLine, StringComparison.Ordinal);
        Assert.Single((await server.Client.ListRunsAsync(new RunQuery([]), CancellationToken.None)).Items);
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_database_cut_in_the_middle_of_a_page_is_refused_and_left_as_it_is()
    {
        await using var server = await ServerProcess.StartAsync();
        await server.EndedAsync(await server.CreateAsync(ServerProcess.Manifest));
        Assert.Equal(0, await server.StopAsync());
        var database = Path.Combine(server.Data, "caisson.db");
        await using (var file = new FileStream(database, FileMode.Open))
            file.SetLength(file.Length / 2 + 1_000);
        var cut = await File.ReadAllBytesAsync(database);

        var refused = await server.LaunchRefusedAsync();

        Assert.Equal(3, refused.Exit);
        Assert.Contains(database, refused.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("backup", refused.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(cut, await File.ReadAllBytesAsync(database));
    }

    [Fact]
    public async Task A_log_cut_in_the_middle_of_a_page_costs_what_was_behind_the_cut_and_nothing_else()
    {
        await using var server = await ServerProcess.StartAsync();
        var first = await server.CreateAsync(ServerProcess.Manifest, "first");
        await server.EndedAsync(first);
        var (one, other) = await TwoUnderWayAsync(server);
        await server.KillAsync();
        CutLog(Path.Combine(server.Data, "caisson.db-wal"));

        await server.LaunchAsync();

        // Of the last writes some are gone, as if the kill had come a little earlier: what is there is whole, and goes on.
        var left = (await server.Client.ListRunsAsync(new RunQuery([]), CancellationToken.None)).Items;
        Assert.Contains(left, run => run.Id == first && run.Result == "You said: first");
        foreach (var run in left)
            Assert.Equal(RunStatus.Completed, (await server.EndedAsync(run.Id)).Status);
        Assert.All(left, run => Assert.Contains(run.Id, new[] { first, one, other }));
        await server.AssertSoundAsync();
        Assert.Equal(0, await server.StopAsync());
    }

    /// <summary>Takes the last frame of the log away but for its first half. The file itself is longer than what is in use of it.</summary>
    private static void CutLog(string path)
    {
        const int fileHeader = 32;
        const int frameHeader = 24;
        using var log = new FileStream(path, FileMode.Open);
        var bytes = new byte[log.Length];
        log.ReadExactly(bytes);
        var frame = frameHeader + BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(8));
        var salt = bytes.AsSpan(16, 8).ToArray();
        var frames = 0;
        while (fileHeader + (frames + 1) * frame <= bytes.Length && bytes.AsSpan(fileHeader + frames * frame + 8, 8).SequenceEqual(salt))
            frames++;
        Assert.True(frames > 1, $"the log has {frames} frames");
        log.SetLength(fileHeader + (frames - 1) * frame + frame / 2);
    }

    /// <summary>Two runs in the middle of a call.</summary>
    private static async Task<(string, string)> TwoUnderWayAsync(ServerProcess server, string input = "hi")
    {
        var one = await server.CreateAsync(ServerProcess.ManifestOf("slow"), input);
        var other = await server.CreateAsync(ServerProcess.ManifestOf("slow"), "other");
        foreach (var run in new[] { one, other })
            await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(run, CancellationToken.None), view => view.LastSeq >= 3);
        return (one, other);
    }

    private static async Task ExecuteAsync(ServerProcess server, string sql)
    {
        await using var database = new SqliteConnection($"Data Source={Path.Combine(server.Data, "caisson.db")};Pooling=False");
        await database.OpenAsync();
        await using var command = database.CreateCommand();
        command.CommandText = sql;
        Assert.Equal(1, await command.ExecuteNonQueryAsync());
    }
}
