using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Caisson.Bench.Host;

/// <summary>
/// A file to which a host that will be killed writes what it does and when, a line each, in one write each: what was
/// written is there after a SIGKILL. Times are of the machine's monotonic clock, which all processes share.
/// </summary>
internal sealed class StepLog(string path) : IDisposable
{
    internal const string Begun = "begun";
    internal const string Serving = "serving";

    private readonly FileStream _file = new(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    private readonly Lock _gate = new();

    internal void Write(string what)
    {
        var line = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{what} {Stopwatch.GetTimestamp()}\n"));
        lock (_gate)
            _file.Write(line);
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>Reads the log's whole lines as they come.</summary>
internal sealed class StepLogReader(string path)
{
    private long _offset;

    internal IEnumerable<(string What, long At)> ReadNew()
    {
        using var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite);
        file.Position = _offset;
        var bytes = new byte[file.Length - _offset];
        file.ReadExactly(bytes);
        var whole = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        _offset += whole;
        foreach (var line in Encoding.ASCII.GetString(bytes, 0, whole).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var space = line.IndexOf(' ', StringComparison.Ordinal);
            yield return (line[..space], long.Parse(line.AsSpan(space + 1), CultureInfo.InvariantCulture));
        }
    }
}
