using System.Net;
using System.Text.Json;

namespace Caisson.Gateway.Tests.Harness;

/// <summary>Keeps what was sent, and sends it on.</summary>
internal sealed class Recorder() : DelegatingHandler(new SocketsHttpHandler())
{
    public byte[] Bytes { get; private set; } = [];

    public JsonElement Body => JsonDocument.Parse(Bytes).RootElement;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        using var copy = new MemoryStream();
        await request.Content!.CopyToAsync(copy, cancellationToken);
        Bytes = copy.ToArray();
        return await base.SendAsync(request, cancellationToken);
    }
}

/// <summary>Does something between the pipeline's last look at the lease and the body's leaving.</summary>
internal sealed class BeforeSend(Action action) : DelegatingHandler(new SocketsHttpHandler())
{
    private Action? _action = action;

    public void Disarm() => _action = null;

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        _action?.Invoke();
        return base.SendAsync(request, cancellationToken);
    }
}

/// <summary>Reads the request and gives an answer that no server was needed for.</summary>
internal sealed class Canned(Func<HttpResponseMessage> respond) : HttpMessageHandler
{
    public int Requests { get; private set; }

    public static Canned Json(string body, HttpStatusCode status = HttpStatusCode.OK) =>
        new(() => new HttpResponseMessage(status) { Content = new StringContent(body) });

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Requests++;
        await request.Content!.CopyToAsync(Stream.Null, cancellationToken);
        return respond();
    }
}

/// <summary>Gives letters for ever and counts them.</summary>
internal sealed class EndlessStream : Stream
{
    public long Given { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => Given; set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count)
    {
        buffer.AsSpan(offset, count).Fill((byte)'x');
        Given += count;
        return count;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
