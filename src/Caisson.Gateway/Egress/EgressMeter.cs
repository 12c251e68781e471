using Caisson.Core;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress;

/// <summary>The bytes of one run that may pass its wall, both ways together.</summary>
internal sealed class EgressMeter(long limit, long used)
{
    private long _used = used;

    internal bool IsOver => Interlocked.Read(ref _used) >= limit;

    internal string Reason => $"caisson: the run's {Sizes.Text(limit)} of egress are used up; do without more, or ask for a larger egress_bytes in the agent's manifest";

    /// <summary>Whether so many more still fit; they are counted in any case, since they have passed or are about to.</summary>
    internal bool Take(int bytes) => Interlocked.Add(ref _used, bytes) <= limit;
}

/// <summary>The run has used up its bytes: the connection is cut.</summary>
internal sealed class EgressBudgetException(string reason) : IOException(reason);

/// <summary>A connection to the outside: counts what passes, and lets nothing pass beyond the budget or without the lease.</summary>
internal sealed class MeteredStream(Stream inner, string host, int port, EgressMeter meter, IEgressLog log) : PassingStream(inner)
{
    private const long TellEvery = 1 << 20;
    private long _sent;
    private long _received;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await Inner.ReadAsync(buffer, cancellationToken);
        Interlocked.Add(ref _received, read);
        Pass(read);
        return read;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!log.MaySend)
            throw new IOException("the run's owner is in doubt: nothing leaves");
        Pass(buffer.Length);
        Interlocked.Add(ref _sent, buffer.Length);
        await Inner.WriteAsync(buffer, cancellationToken);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Inner.Dispose();
            Tell();
        }

        base.Dispose(disposing);
    }

    private void Pass(int bytes)
    {
        var fits = meter.Take(bytes);
        if (!fits || Interlocked.Read(ref _sent) + Interlocked.Read(ref _received) >= TellEvery)
            Tell();
        if (!fits)
            throw new EgressBudgetException(meter.Reason);
    }

    private void Tell()
    {
        var (sent, received) = (Interlocked.Exchange(ref _sent, 0), Interlocked.Exchange(ref _received, 0));
        if (sent + received > 0)
            log.Moved(host, port, sent, received);
    }
}
