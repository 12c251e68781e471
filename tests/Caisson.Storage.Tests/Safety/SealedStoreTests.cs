using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Retention;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Sqlite.Sealing;
using Caisson.Storage.Tests.Conformance;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Tests.Safety;

/// <summary>All that holds for a store holds for a sealed one.</summary>
public sealed class SealedConformanceTests : RunStoreConformance, IDisposable
{
    private readonly KeyFile _key = new();

    public void Dispose() => _key.Dispose();

    protected override Task<IStoreHost> OpenAsync(TimeProvider clock) => Task.FromResult<IStoreHost>(new SqliteStoreHost(clock, _key.Path));
}

public sealed class SealedStoreTests : IDisposable
{
    private const string Marker = "plaintext-marker-4711";

    private readonly TempFolder _folder = new();
    private readonly KeyFile _key = new();

    public void Dispose()
    {
        _folder.Dispose();
        _key.Dispose();
    }

    /// <summary>Looks at every byte of every file while the store is open, with its log, and after it was closed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Content_stands_on_the_disk_in_the_clear_only_without_a_key(bool isSealed)
    {
        var store = Open(isSealed ? _key.Path : null);
        await FillAsync(store);

        var open = FilesWithMarker();
        await store.DisposeAsync();
        var closed = FilesWithMarker();

        if (isSealed)
        {
            Assert.Empty(open);
            Assert.Empty(closed);
        }
        else
        {
            Assert.Contains("caisson.db-wal", open);
            Assert.Contains("caisson.db", closed);
            Assert.Contains(closed, f => f.StartsWith("blobs", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Content_is_read_as_it_was_written()
    {
        await using var store = Open(_key.Path);

        var (run, address) = await FillAsync(store);

        var journal = await store.ReadJournalAsync(run, 0, 100, default);
        Assert.Equal([Text("body"), Text("step")], journal.Where(e => e.Kind is EntryKind.RunCreated or EntryKind.StepCompleted).Select(e => Encoding.UTF8.GetString(e.Body.Span)));
        Assert.Equal(Text("payload"), Encoding.UTF8.GetString(journal[^1].Payload!.Value.Span));
        Assert.All(journal, e => Assert.Equal(32, e.Chain.Length));
        Assert.Equal(Text("input"), Encoding.UTF8.GetString((await store.ReadInboxAsync(run, 10, default)).Single().Payload.Span));
        Assert.Equal(Text("detail"), (await store.FindAsync(run, default))!.Summary.Detail);
        Assert.Equal(Text("schedule"), Encoding.UTF8.GetString((await store.ListSchedulesAsync(default)).Single().Definition.Span));
        Assert.Equal(Text("blob"), Encoding.UTF8.GetString((await Blobs(store).GetAsync(address, default))!.Value.Span).TrimEnd());
    }

    [Fact]
    public async Task A_sealed_directory_is_not_opened_without_its_key_or_with_another()
    {
        await using (var store = Open(_key.Path))
            await FillAsync(store);
        using var other = new KeyFile();

        foreach (var file in new[] { null, other.Path })
        {
            var failure = Assert.IsType<SqliteOpenOutcome.Refused>(TryOpen(file)).Failure;
            Assert.Equal(ErrorCodes.KeyMissing, failure.Code);
            Assert.Contains("set storage.key_file to the file with its key", failure.Message, StringComparison.Ordinal);
        }

        await Open(_key.Path).DisposeAsync();
    }

    [Fact]
    public async Task A_directory_from_before_its_key_stays_readable_and_is_sealed_from_then_on()
    {
        string address;
        RunId old;
        await using (var store = Open(null))
            (old, address) = await FillAsync(store);
        var clear = FilesWithMarker();

        RunId fresh;
        await using (var store = Open(_key.Path))
        {
            Assert.Equal(Text("payload"), Encoding.UTF8.GetString((await store.ReadJournalAsync(old, 0, 100, default))[^1].Payload!.Value.Span));
            Assert.NotNull(await Blobs(store).GetAsync(address, default));
            Assert.Equal(address, Blobs(store).AddressOf(Content("blob")));
            var run = Some.Run(Some.Start, "fresh-marker");
            await store.CreateAsync(run, default);
            fresh = run.Id;
            await Blobs(store).PutAsync(["fresh-marker"u8.ToArray()], default);
        }

        Assert.NotEmpty(clear);
        Assert.Empty(FilesWith("fresh-marker"));
        Assert.IsType<SqliteOpenOutcome.Refused>(TryOpen(null));
        await using var again = Open(_key.Path);
        Assert.Equal("fresh-marker", (await again.FindAsync(fresh, default))!.Summary.Detail);
    }

    /// <summary>With it, names of blobs tell whether somebody stored a content that one can guess.</summary>
    [Fact]
    public async Task The_key_that_names_blobs_is_nowhere_in_the_clear_after_the_first_start_with_a_key()
    {
        byte[] addressKey;
        await using (var store = Open(null))
            addressKey = store.TenantKey.ToArray();
        Assert.NotEmpty(FilesWith(addressKey));

        await using (var store = Open(_key.Path))
        {
            Assert.Equal(addressKey, store.TenantKey.ToArray());
            Assert.Empty(FilesWith(addressKey));
        }

        Assert.Empty(FilesWith(addressKey));
    }

    [Fact]
    public async Task Swapped_bytes_are_noticed()
    {
        await using (var store = Open(_key.Path))
        {
            await FillAsync(store);
            await FillAsync(store, "second");
        }

        Execute("UPDATE journal SET payload = (SELECT payload FROM journal j WHERE j.payload IS NOT NULL AND j.run <> journal.run) WHERE payload IS NOT NULL");

        await using var again = Open(_key.Path);
        var run = (await again.ListAsync(new RunFilter(null, null, null, 10), default))[^1].Id;
        var error = await Assert.ThrowsAsync<CaissonException>(() => again.ReadJournalAsync(run, 0, 100, default));
        Assert.Equal(ErrorCodes.DatabaseCorrupt, error.Code);
    }

    [Fact]
    public async Task A_shredded_tenant_is_unreadable_and_in_nobodys_way()
    {
        var store = Open(_key.Path);
        var blobs = Blobs(store);
        var (mine, address) = (Some.Run(Some.Start), (await blobs.PutAsync([Content("blob")], default))[0]);
        var theirs = Some.Run(Some.Start, Marker, "them");
        await store.CreateAsync(mine, default);
        await store.CreateAsync(theirs, default);
        await EndAsync(store, theirs.Id);

        Assert.IsType<ShredOutcome.NoKey>(await store.ShredAsync("nobody"));
        Assert.IsType<ShredOutcome.Shredded>(await store.ShredAsync("them"));
        Assert.IsType<ShredOutcome.NoKey>(await store.ShredAsync("them"));

        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(ErrorCodes.KeyMissing, (await Assert.ThrowsAsync<CaissonException>(() => store.ReadJournalAsync(theirs.Id, 0, 100, default))).Code);
            Assert.Contains("destroyed", (await store.FindAsync(theirs.Id, default))!.Summary.Detail, StringComparison.Ordinal);
            Assert.Equal(2, (await store.ListAsync(new RunFilter(null, null, null, 10), default)).Count);
            Assert.Single(await store.ReadJournalAsync(mine.Id, 0, 100, default));
            Assert.Empty((await Blobs(store).SweepAsync(store.ReadReferencesAsync(default), new LinkTrees(), default)).Unreadable);
            Assert.NotNull(await Blobs(store).GetAsync(address, default));
            await store.DisposeAsync();
            store = Open(_key.Path);
        }

        Assert.True(await store.DeleteRunAsync(theirs.Id, default));
        var next = Some.Run(Some.Start, "later", "them");
        Assert.IsType<CreateOutcome.Created>(await store.CreateAsync(next, default));
        Assert.Equal("later", (await store.FindAsync(next.Id, default))!.Summary.Detail);
        await store.DisposeAsync();
    }

    [Fact]
    public async Task A_tenant_whose_runs_have_not_ended_keeps_its_key()
    {
        await using var store = Open(_key.Path);
        var run = Some.Run(Some.Start, tenant: "them");
        await store.CreateAsync(run, default);

        Assert.Equal(1, Assert.IsType<ShredOutcome.InUse>(await store.ShredAsync("them")).Count);

        Assert.Single(await store.ReadJournalAsync(run.Id, 0, 100, default));
    }

    [Fact]
    public async Task A_shredded_key_is_nowhere_in_the_database()
    {
        await using var store = Open(_key.Path);
        await store.CreateAsync(Some.Run(Some.Start, tenant: "them"), default);
        await EndAsync(store, (await store.ListAsync(new RunFilter(null, null, null, 10), default))[0].Id);
        var wrapped = (byte[])Scalar("SELECT value FROM meta WHERE name = 'seal:them'")!;
        Assert.NotEmpty(FilesWith(wrapped));

        await store.ShredAsync("them");

        Assert.Empty(FilesWith(wrapped));
    }

    private SqliteStore Open(string? keyFile) => SqliteStoreHost.Open(_folder.Path, TimeProvider.System, keyFile);

    private SqliteOpenOutcome TryOpen(string? keyFile) =>
        SqliteStore.Open(new SqliteOptions { DataDirectory = _folder.Path, KeyFile = keyFile }, TimeProvider.System, NullLogger.Instance);

    private FileBlobStore Blobs(SqliteStore store) => new(_folder["blobs"], store.TenantKey.Span, TimeProvider.System, store.Seal);

    private static string Text(string what) => $"{{\"{what}\":\"{Marker}\"}}";

    /// <summary>Too random to be found again in a compressed file, but for the marker, which stands before anything is repeated.</summary>
    private static byte[] Content(string what) => Encoding.UTF8.GetBytes(Text(what));

    /// <summary>Content in every place that holds some. Answers the run and the blob.</summary>
    private async Task<(RunId Run, string Address)> FillAsync(SqliteStore store, string more = "")
    {
        var address = (await Blobs(store).PutAsync([Content("blob")], default))[0];
        var created = Some.Run(Some.Start, Text("body"));
        await store.CreateAsync(created, default);
        var node = Some.Node();
        await store.RegisterAsync(node, default);
        var claimed = Assert.IsType<ClaimOutcome.Claimed>(await store.ClaimAsync(created.Id, node.Id, default)).Run;
        var unit = new ChangeSet(created.Id, new Fence(node.Id, claimed.Epoch), Some.Id(), claimed.LastSeq + 1, Some.Start,
            [new JournalDraft(EntryKind.StepCompleted, Content("step"), Key: "k", Payload: Encoding.UTF8.GetBytes(Text("payload") + more))],
            new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, Some.Start, false, new RunSummary { Detail = Text("detail") }), [], []);
        if (more.Length == 0)
            unit = unit with { Entries = [unit.Entries[0] with { Payload = Content("payload") }] };
        Assert.IsType<AppendOutcome.Committed>(await store.AppendAsync(unit, default));
        Assert.IsType<PostOutcome.Posted>(await store.PostAsync(new NewInput(created.Id, "one", InputKind.Signal, Content("input")), default));
        await store.PutScheduleAsync(new NewSchedule("nightly", Some.Id(), Content("schedule"), Some.Start, null, false), default);
        return (created.Id, address);
    }

    private static async Task EndAsync(SqliteStore store, RunId run)
    {
        var node = Some.Node();
        await store.RegisterAsync(node, default);
        var claimed = Assert.IsType<ClaimOutcome.Claimed>(await store.ClaimAsync(run, node.Id, default)).Run;
        Assert.IsType<AppendOutcome.Committed>(await store.AppendAsync(new ChangeSet(run, new Fence(node.Id, claimed.Epoch), Some.Id(), claimed.LastSeq + 1, Some.Start,
            [new JournalDraft(EntryKind.RunEnded, "{}"u8.ToArray())], new RunRow(RunStatus.Completed, WaitReason.None, PauseCause.None, null, true, claimed.Summary), [], []), default));
    }

    private string[] FilesWithMarker() => FilesWith(Marker);

    private string[] FilesWith(string text) => FilesWith(Encoding.UTF8.GetBytes(text));

    private string[] FilesWith(byte[] bytes) =>
        [.. Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) != "lock" && Read(f).AsSpan().IndexOf(bytes) >= 0).Select(f => Path.GetRelativePath(_folder.Path, f))];

    private static byte[] Read(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private void Execute(string sql) => _ = Scalar(sql);

    private object? Scalar(string sql)
    {
        using var connection = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={_folder["caisson.db"]};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }
}

/// <summary>A new key in a file of its own.</summary>
internal sealed class KeyFile : IDisposable
{
    private readonly TempFolder _folder = new();

    internal KeyFile()
    {
        File.WriteAllText(Path, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    internal string Path => _folder["key"];

    public void Dispose() => _folder.Dispose();
}
