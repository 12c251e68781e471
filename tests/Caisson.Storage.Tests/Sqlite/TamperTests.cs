using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Tests.Conformance;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Tests.Sqlite;

public sealed class TamperTests
{
    [Theory]
    [InlineData("UPDATE journal SET body = CAST('{\"forged\":1}' AS BLOB) WHERE seq = 2", 2)]
    [InlineData("UPDATE journal SET payload = CAST('1' AS BLOB) WHERE seq = 3", 3)]
    [InlineData("UPDATE journal SET at = at + 1 WHERE seq = 4", 4)]
    [InlineData("DELETE FROM journal WHERE seq = 2", 2)]
    [InlineData("UPDATE journal SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4); UPDATE journal SET seq = -seq WHERE seq < 0", 3)]
    public async Task A_row_that_was_changed_in_the_file_is_found(string change, long broken)
    {
        using var folder = new TempFolder();
        var ids = new SystemIds(TimeProvider.System);
        var run = new RunId(ids.NextRun());
        await using (var store = SqliteStoreHost.Open(folder.Path, TimeProvider.System))
        {
            await store.CreateAsync(new NewRun(run, "a", null, "hash", TimeProvider.System.GetUtcNow(), new JournalDraft(EntryKind.RunCreated, "{}"u8.ToArray()), new RunSummary(), null, null)
            {
                More = [.. Enumerable.Range(0, 5).Select(i => new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray(), Key: $"{i}", Payload: "result"u8.ToArray()))],
            }, default);
            Assert.Null(RunStoreConformance.FirstBroken(run, await store.ReadJournalAsync(run, 0, 10, default)));
        }

        await using (var connection = new SqliteConnection($"Data Source={folder["caisson.db"]};Pooling=False"))
        {
            await connection.OpenAsync();
            await using var command = connection.CreateCommand();
            command.CommandText = change;
            await command.ExecuteNonQueryAsync();
        }

        await using var again = SqliteStoreHost.Open(folder.Path, TimeProvider.System);
        Assert.Equal(broken, RunStoreConformance.FirstBroken(run, await again.ReadJournalAsync(run, 0, 10, default)));
    }
}
