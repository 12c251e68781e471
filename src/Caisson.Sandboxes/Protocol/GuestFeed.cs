using System.IO.Pipelines;
using System.Threading.Channels;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// Standard input of a command that is written while it runs. No more goes out than the worker has given credit for: so
/// a command that reads nothing stops whoever writes, and its worker still hears a kill.
/// </summary>
internal sealed class GuestFeed : IAsyncDisposable
{
    private readonly CommandChannel _command;
    private readonly PipeReader _input;
    private readonly Channel<uint> _credits = Channel.CreateUnbounded<uint>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _end = new();
    private readonly Task _writing;

    public GuestFeed(CommandChannel command, PipeReader input)
    {
        (_command, _input) = (command, input);
        _writing = WriteAsync();
    }

    /// <summary>So many bytes more may follow.</summary>
    public void Grant(uint bytes) => _credits.Writer.TryWrite(bytes);

    private async Task WriteAsync()
    {
        try
        {
            var credit = 0L;
            while (true)
            {
                var read = await _input.ReadAsync(_end.Token);
                var rest = read.Buffer;
                while (rest.Length > 0)
                {
                    while (credit == 0)
                        credit += await _credits.Reader.ReadAsync(_end.Token);
                    var piece = rest.First[..(int)Math.Min(Math.Min(rest.First.Length, credit), FrameStream.MaxPayload)];
                    if (piece.Length > 0 && !await _command.WriteAsync(FrameType.Input, piece, _end.Token))
                        return;
                    credit -= piece.Length;
                    rest = rest.Slice(piece.Length);
                }

                _input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                    break;
            }

            await _command.WriteAsync(FrameType.Input, default, _end.Token);
        }
        catch (OperationCanceledException)
        {
            // The command has ended: nobody reads any more.
        }
        finally
        {
            await _input.CompleteAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _writing;
        _end.Dispose();
    }
}
