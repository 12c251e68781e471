using System.IO.Pipelines;
using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Caisson.Gateway.Processes;

/// <summary>
/// The listener of the HTTP server that boxes talk to. It listens to no port: connections come from the sockets of boxes,
/// each with what its box may ask attached. So the server can have as many doors as there are boxes, at any time.
/// </summary>
internal sealed class BoxListener : IConnectionListener, IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly Channel<ConnectionContext> _waiting = Channel.CreateUnbounded<ConnectionContext>();
    private long _last;

    public EndPoint EndPoint { get; } = new Door();

    /// <summary>Serves one connection of a box to its end.</summary>
    public async Task ServeAsync(Stream stream, ProcessStart start, CancellationToken cancellationToken)
    {
        var id = Interlocked.Increment(ref _last);
        await using var connection = new BoxConnection($"box-{id}", stream, start);
        await using var end = cancellationToken.Register(() => connection.Abort());
        if (_waiting.Writer.TryWrite(connection))
            await connection.Closed;
    }

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        await _waiting.Reader.WaitToReadAsync(cancellationToken) && _waiting.Reader.TryRead(out var connection) ? connection : null;

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _waiting.Writer.TryComplete();
        return ValueTask.CompletedTask;
    }

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

    public bool CanBind(EndPoint endpoint) => endpoint is Door;

    public ValueTask DisposeAsync() => UnbindAsync();

    internal sealed class Door : EndPoint
    {
        public override string ToString() => "boxes";
    }

    private sealed class BoxConnection : DefaultConnectionContext
    {
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _aborted = new();

        public BoxConnection(string id, Stream stream, ProcessStart start)
            : base(id, new StreamPipe(stream), new StreamPipe(Stream.Null))
        {
            Features.Set(start);
            ConnectionClosed = _aborted.Token;
        }

        public Task Closed => _closed.Task;

        public override void Abort(ConnectionAbortedException abortReason) => Abort();

        public override void Abort()
        {
            _aborted.Cancel();
            Transport.Input.CancelPendingRead();
            _closed.TrySetResult();
        }

        public override async ValueTask DisposeAsync()
        {
            _closed.TrySetResult();
            await base.DisposeAsync();
        }
    }

    private sealed class StreamPipe(Stream stream) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));

        public PipeWriter Output { get; } = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
    }
}
