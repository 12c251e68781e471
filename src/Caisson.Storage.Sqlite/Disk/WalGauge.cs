using System.Diagnostics.Metrics;
using System.Globalization;
using Caisson.Core.Lifecycle;

namespace Caisson.Storage.Sqlite.Disk;

/// <summary>
/// The length of the write-ahead log, as a metric and as a gate. The log grows while some reader keeps the checkpoint
/// from finishing; a log without bound fills the disk, and the next start has to read all of it. From the limit on
/// nothing new begins until a checkpoint has emptied it: half the limit, so that the gate does not flap.
/// </summary>
public sealed class WalGauge : IAdmission, IDisposable
{
    public const long DefaultLimit = 1L << 30;

    private readonly FileInfo _log;
    private readonly long _limit;
    private readonly Meter _meter = new("Caisson.Storage");
    private readonly Lock _one = new();
    private bool _refusing;

    /// <param name="database">Path of the database, whose log stands beside it.</param>
    public WalGauge(string database, long limit = DefaultLimit)
    {
        (_log, _limit) = (new FileInfo(database + "-wal"), limit);
        _meter.CreateObservableGauge("caisson.storage.wal.size", () => Bytes, "By", "Length of the write-ahead log");
    }

    /// <summary>Now; 0 where there is no log.</summary>
    public long Bytes
    {
        get
        {
            lock (_one)
            {
                _log.Refresh();
                return _log.Exists ? _log.Length : 0;
            }
        }
    }

    public string? Refusal
    {
        get
        {
            var bytes = Bytes;
            lock (_one)
            {
                _refusing = _refusing ? bytes > _limit / 2 : bytes > _limit;
                return _refusing
                    ? string.Create(CultureInfo.InvariantCulture, $"the write-ahead log has {bytes >> 20} MiB and waits for its checkpoint: end what reads the database from outside")
                    : null;
            }
        }
    }

    public void Dispose() => _meter.Dispose();
}
