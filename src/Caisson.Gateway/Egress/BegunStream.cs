using Caisson.Gateway.Egress.Http;

namespace Caisson.Gateway.Egress;

/// <summary>A connection whose first bytes were read already.</summary>
internal sealed class BegunStream(BoxReader begun, Stream inner) : PassingStream(inner)
{
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (begun.Buffered.Length == 0)
            return await Inner.ReadAsync(buffer, cancellationToken);
        var count = Math.Min(buffer.Length, begun.Buffered.Length);
        begun.Buffered[..count].CopyTo(buffer);
        begun.Take(count);
        return count;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => Inner.WriteAsync(buffer, cancellationToken);
}
