using Caisson.Storage.Sqlite;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Tests.Safety;

public sealed class LineageTests : IDisposable
{
    private readonly TempFolder _folder = new();

    private string Database => _folder["caisson.db"];

    private string File => _folder["lineage"];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Starts_are_counted_in_the_database_and_beside_it()
    {
        for (var i = 1; i <= 3; i++)
        {
            Assert.False(await StartAsync());
            Assert.EndsWith($" {i}\n", await System.IO.File.ReadAllTextAsync(File), StringComparison.Ordinal);
            Assert.Equal($"{i}", Meta("starts"));
        }
    }

    [Fact]
    public async Task A_database_put_back_to_an_earlier_copy_is_noticed_until_somebody_has_dealt_with_it()
    {
        await StartAsync();
        System.IO.File.Copy(Database, _folder["copy.db"]);
        await StartAsync();
        var before = Meta("hex(generation)");
        Restore();

        Assert.True(await StartAsync());
        Assert.NotEqual(before, Meta("hex(generation)"));
        Assert.True(await StartAsync(), "a crash before the runs were dealt with must not hide it");

        await using (var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System))
        {
            await store.SettleRestoredAsync();
            Assert.False(store.Restored);
        }

        Assert.False(await StartAsync());
    }

    [Fact]
    public async Task A_copy_from_before_the_last_settlement_is_noticed_again()
    {
        await StartAsync();
        System.IO.File.Copy(Database, _folder["copy.db"]);
        await StartAsync();
        Restore();
        await using (var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System))
            await store.SettleRestoredAsync();
        Restore();

        Assert.True(await StartAsync());
    }

    [Fact]
    public async Task A_database_of_another_installation_is_noticed_however_often_it_was_started()
    {
        await StartAsync();
        using var other = new TempFolder();
        for (var i = 0; i < 5; i++)
            await SqliteStoreHost.Open(other.Path, TimeProvider.System).DisposeAsync();
        System.IO.File.Copy(other["caisson.db"], _folder["copy.db"]);
        Restore();

        Assert.True(await StartAsync());
    }

    /// <summary>A kill between the two counts leaves the file behind.</summary>
    [Fact]
    public async Task A_file_that_is_behind_or_missing_or_damaged_says_nothing()
    {
        await StartAsync();
        var first = await System.IO.File.ReadAllTextAsync(File);
        await StartAsync();

        await System.IO.File.WriteAllTextAsync(File, first);
        Assert.False(await StartAsync());
        System.IO.File.Delete(File);
        Assert.False(await StartAsync());
        await System.IO.File.WriteAllTextAsync(File, "nonsense");
        Assert.False(await StartAsync());
        Assert.EndsWith(" 5\n", await System.IO.File.ReadAllTextAsync(File), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_latest_time_in_the_journal_is_told()
    {
        await using (var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System))
        {
            Assert.Equal(DateTimeOffset.MinValue, store.LastWritten);
            await store.CreateAsync(Some.Run(Some.Start), default);
            await store.CreateAsync(Some.Run(Some.Start.AddHours(1)), default);
        }

        await using var next = SqliteStoreHost.Open(_folder.Path, TimeProvider.System);
        Assert.Equal(Some.Start.AddHours(1), next.LastWritten);
    }

    private async Task<bool> StartAsync()
    {
        await using var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System);
        return store.Restored;
    }

    private void Restore()
    {
        System.IO.File.Delete(Database + "-wal");
        System.IO.File.Copy(_folder["copy.db"], Database, overwrite: true);
    }

    private string? Meta(string what)
    {
        using var connection = new SqliteConnection($"Data Source={Database};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = what == "starts" ? "SELECT CAST(value AS TEXT) FROM meta WHERE name = 'starts'" : "SELECT hex(value) FROM meta WHERE name = 'generation'";
        return (string?)command.ExecuteScalar();
    }
}
