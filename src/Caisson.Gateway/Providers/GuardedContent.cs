using System.Net;
using System.Net.Http.Headers;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Providers;

/// <summary>
/// A request body that asks for leave when it is about to go. The handler calls it once the connection stands, so the
/// check comes after all waiting; and whether a failed call may have been billed is known exactly, not guessed from
/// the kind of exception.
/// </summary>
internal sealed class GuardedContent : HttpContent
{
    private readonly ReadOnlyMemory<byte> _body;
    private readonly IStepLog _log;

    public GuardedContent(ReadOnlyMemory<byte> body, IStepLog log)
    {
        _body = body;
        _log = log;
        Headers.ContentType = new MediaTypeHeaderValue("application/json");
    }

    /// <summary>Bytes of the body have left, or were about to.</summary>
    public bool Sent { get; private set; }

    public bool Withheld { get; private set; }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        if (!_log.MaySend)
        {
            Withheld = true;
            throw new IOException("The node may not send now.");
        }

        Sent = true;
        await stream.WriteAsync(_body, cancellationToken);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = _body.Length;
        return true;
    }
}
