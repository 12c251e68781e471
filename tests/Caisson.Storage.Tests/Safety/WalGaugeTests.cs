using System.Diagnostics.Metrics;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Disk;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

public sealed class WalGaugeTests : IDisposable
{
    private readonly TempFolder _folder = new();

    private string Database => _folder["x.db"];

    public void Dispose() => _folder.Dispose();

    /// <summary>A reader in the middle of the log keeps the checkpoint from ending, which is how logs really grow.</summary>
    [Fact]
    public void A_log_that_a_reader_holds_refuses_work_until_it_is_checkpointed()
    {
        using var writer = Open();
        Execute(writer, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (b BLOB); INSERT INTO t VALUES (1)");
        using var gauge = new WalGauge(Database, limit: 1 << 20);
        using var reader = Open();
        Execute(reader, "BEGIN; SELECT * FROM t");
        Execute(writer, "INSERT INTO t VALUES (zeroblob(1100000))");
        var clock = new FakeTimeProvider();
        using var checkpointer = new Checkpointer(Open(), Database + "-wal", new LogLimits(4096, 8192, 16384, 0), () => 1000, work => work(), _ => { }, clock, NullLogger.Instance);

        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(gauge.Bytes > 1 << 20, $"{gauge.Bytes}");
        Assert.Contains("write-ahead log", gauge.Refusal, StringComparison.Ordinal);

        Execute(reader, "COMMIT");
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, gauge.Bytes);
        Assert.Null(gauge.Refusal);
    }

    [Fact]
    public void Its_gate_does_not_flap_and_a_missing_log_is_an_empty_one()
    {
        using var gauge = new WalGauge(Database, limit: 1000);
        Assert.Equal((0, null), (gauge.Bytes, gauge.Refusal));

        Assert.Null(RefusalAt(1000));
        Assert.NotNull(RefusalAt(1001));
        Assert.NotNull(RefusalAt(501));
        Assert.Null(RefusalAt(500));
        Assert.Null(RefusalAt(999));

        string? RefusalAt(int bytes)
        {
            File.WriteAllBytes(Database + "-wal", new byte[bytes]);
            return gauge.Refusal;
        }
    }

    [Fact]
    public void Its_length_is_a_metric()
    {
        File.WriteAllBytes(Database + "-wal", new byte[4321]);
        var seen = new List<long>();
        using var listener = new MeterListener { InstrumentPublished = (instrument, l) => { if (instrument.Name == "caisson.storage.wal.size") l.EnableMeasurementEvents(instrument); } };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => seen.Add(value));
        using var gauge = new WalGauge(Database);
        listener.Start();

        listener.RecordObservableInstruments();

        Assert.Contains(4321, seen);
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection($"Data Source={Database};Pooling=False");
        connection.Open();
        return connection;
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        using var rows = command.ExecuteReader();
        while (rows.Read() || rows.NextResult())
            continue;
    }
}
