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

    /// <summary>
    /// Read ahead of the server, within a pipe's bound: a client that hangs up while it waits for an answer shows only to
    /// whoever reads.
    /// </summary>
    private sealed class BoxConnection : DefaultConnectionContext
    {
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _gone = new();
        private readonly CancellationTokenSource _end = new();
        private readonly Task _reading;

        public BoxConnection(string id, Stream stream, ProcessStart start)
            : this(id, stream, start, new Pipe())
        {
        }

        private BoxConnection(string id, Stream stream, ProcessStart start, Pipe input)
            : base(id, new Duplex(input.Reader, PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true))), new Duplex(PipeReader.Create(Stream.Null), PipeWriter.Create(Stream.Null)))
        {
            Features.Set(start);
            ConnectionClosed = _gone.Token;
            _reading = ReadAsync(stream, input.Writer);
        }

        public Task Closed => _closed.Task;

        public override void Abort(ConnectionAbortedException abortReason) => Abort();

        public override void Abort()
        {
            _end.Cancel();
            _closed.TrySetResult();
        }

        public override async ValueTask DisposeAsync()
        {
            Abort();
            await _reading;
            await base.DisposeAsync();
        }

        private async Task ReadAsync(Stream stream, PipeWriter input)
        {
            try
            {
                while (await stream.ReadAsync(input.GetMemory(), _end.Token) is > 0 and var read)
                {
                    input.Advance(read);
                    if ((await input.FlushAsync(_end.Token)).IsCompleted)
                        break;
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // Closed by either side: there is nothing more to read.
            }

            await input.CompleteAsync();
            await _gone.CancelAsync();
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
