using System.Threading.Channels;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// A command on a terminal, over one stream. What it writes waits here in a short queue; while nobody reads, the full
/// socket blocks it. What is typed goes out within the credit that the worker gives, so the worker is never stuck.
/// </summary>
internal sealed class GuestTerminal : ISandboxTerminal
{
    private const int MaxQueued = 16;

    private readonly GuestLink _link;
    private readonly FrameStream _stream;
    private readonly Action _closed;
    private readonly Channel<byte[]> _output = Channel.CreateBounded<byte[]>(MaxQueued);
    private readonly SemaphoreSlim _mayType = new(0);
    private readonly SemaphoreSlim _typing = new(1);
    private readonly CancellationTokenSource _end;
    private long _credit;

    private GuestTerminal(GuestLink link, FrameStream stream, uint credit, Action closed)
    {
        (_link, _stream, _credit, _closed) = (link, stream, credit, closed);
        _end = CancellationTokenSource.CreateLinkedTokenSource(link.Gone);
        Ended = Task.Run(PumpAsync);
    }

    public Task<TerminalEnd> Ended { get; }

    /// <param name="closed">Called once, when the terminal is closed.</param>
    public static async Task<TerminalOutcome> OpenAsync(
        GuestLink link, OpenStream open, TerminalRequest request, Action closed, CancellationToken cancellationToken)
    {
        if (CommandFrames.Encode(request.Command, request.Directory, request.Environment, request.Size) is not { } frames)
            return new TerminalOutcome.NotStarted(CommandFrames.Invalid);
        var (stream, failure) = await open(StreamKind.Exec, cancellationToken);
        if (stream is null)
            return link.Lost.IsCompleted ? new TerminalOutcome.Lost(await link.Lost) : new TerminalOutcome.NotStarted(failure!);
        try
        {
            await stream.WriteAsync(frames, cancellationToken);
            // The first frame of a command that runs is its credit.
            switch (await stream.ReadAsync(cancellationToken))
            {
                case { Type: FrameType.Credit } credit when credit.U32(0) <= FrameStream.MaxPayload:
                    // From here on the terminal reads, and the next frame takes the place of this one.
                    var terminal = new GuestTerminal(link, stream, credit.U32(0), closed);
                    stream = null;
                    return new TerminalOutcome.Opened(terminal);
                case { Type: FrameType.NotStarted } not:
                    return new TerminalOutcome.NotStarted(GuestErrors.Start(request.Command, request.Directory, not.U32(0), (char)not.Payload.Span[4]));
                case { } other:
                    throw new GuestProtocolException($"{other.Type} from a terminal");
                default:
                    link.Break(new Failure(ErrorCodes.SandboxLost, "the box ended at the start of a command", Retryable: true));
                    return new TerminalOutcome.Lost(await link.Lost);
            }
        }
        catch (GuestProtocolException e)
        {
            link.Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
            return new TerminalOutcome.Lost(await link.Lost);
        }
        finally
        {
            stream?.Dispose();
        }
    }

    public IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(CancellationToken cancellationToken) =>
        _output.Reader.ReadAllAsync(cancellationToken).Select(b => (ReadOnlyMemory<byte>)b);

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await _typing.WaitAsync(cancellationToken);
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _end.Token);
            while (bytes.Length > 0)
            {
                while (Interlocked.Read(ref _credit) == 0)
                    await _mayType.WaitAsync(either.Token);
                var part = (int)Math.Min(bytes.Length, Math.Min(Interlocked.Read(ref _credit), FrameStream.MaxPayload));
                Interlocked.Add(ref _credit, -part);
                await _stream.WriteAsync(FrameType.Input, bytes[..part], either.Token);
                bytes = bytes[part..];
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // It ended: nobody reads this any more.
        }
        finally
        {
            _typing.Release();
        }
    }

    public async ValueTask ResizeAsync(TerminalSize size, CancellationToken cancellationToken) =>
        await _stream.WriteAsync(FrameType.Resize, CommandFrames.Encode(size), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        // The worker takes the end of the stream as an order to kill.
        await _end.CancelAsync();
        _stream.Dispose();
        await Ended;
    }

    private void Allow(uint bytes)
    {
        // A worker gives back what was used, so never more than one buffer in all.
        if (bytes > FrameStream.MaxPayload || Interlocked.Add(ref _credit, bytes) > FrameStream.MaxPayload)
            throw new GuestProtocolException($"a credit of {bytes}");
        if (bytes > 0)
            _mayType.Release();
    }

    private async Task<TerminalEnd> PumpAsync()
    {
        try
        {
            while (await _stream.ReadAsync(_end.Token) is { } frame)
                switch (frame.Type)
                {
                    case FrameType.Output:
                        _link.CountOutput(frame.Payload.Length);
                        await _output.Writer.WriteAsync(frame.Payload.ToArray(), _end.Token);
                        break;
                    case FrameType.Credit:
                        Allow(frame.U32(0));
                        break;
                    case FrameType.Exited:
                        return new TerminalEnd((int)(frame.U32(0) & 0xff), null);
                    default:
                        throw new GuestProtocolException($"{frame.Type} from a terminal");
                }

            return new TerminalEnd(null, _link.Lost.IsCompleted ? await _link.Lost : GuestLink.Ended);
        }
        catch (GuestProtocolException e)
        {
            _link.Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
            return new TerminalEnd(null, await _link.Lost);
        }
        catch (OperationCanceledException)
        {
            return new TerminalEnd(null, _link.Lost.IsCompleted ? await _link.Lost : new Failure(ErrorCodes.SandboxLost, "the terminal was closed"));
        }
        finally
        {
            _output.Writer.TryComplete();
            await _end.CancelAsync();
            _stream.Dispose();
            _closed();
        }
    }
}
