using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Caisson.Sandboxes.Protocol;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>
/// One connection of a machine's guest agent: dials the box's socket and moves bytes both ways. What has come and is not
/// written yet is bounded by the window; what may be sent by the guest's credit. See guest/bridge.h.
/// </summary>
#pragma warning disable CA1001 // A semaphore without a wait handle holds nothing.
internal sealed class CarriedChannel
#pragma warning restore CA1001
{
    private readonly uint _id;
    private readonly Func<ReadOnlyMemory<byte>, ValueTask> _send;
    private readonly Action<uint> _forget;
    private readonly CancellationToken _end;
    private readonly Channel<byte[]> _incoming = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _credited = new(0);
    private long _mayReceive = MuxFrames.Window, _maySend = MuxFrames.Window;

    public CarriedChannel(uint id, EndPoint door, Func<ReadOnlyMemory<byte>, ValueTask> send, Action<uint> forget, CancellationToken end)
    {
        (_id, _send, _forget, _end) = (id, send, forget, end);
        Ended = Task.Run(() => RunAsync(door), CancellationToken.None);
    }

    /// <summary>Ends when the channel is forgotten. Never fails.</summary>
    public Task Ended { get; }

    /// <summary>Takes a frame of the guest. Never waits.</summary>
    /// <exception cref="GuestProtocolException">It is more than the guest may send.</exception>
    public void Take(MuxFrame frame)
    {
        switch (frame.Type)
        {
            case MuxType.Data:
                if (Interlocked.Add(ref _mayReceive, -frame.Payload.Length) < 0)
                    throw new GuestProtocolException("more data on a channel than its window");
                // Dropped where the channel takes no more; its window is then never given back.
                _incoming.Writer.TryWrite(frame.Payload.ToArray());
                break;
            case MuxType.Credit:
                if (Interlocked.Add(ref _maySend, frame.Credit) > MuxFrames.Window)
                    throw new GuestProtocolException("more credit on a channel than its window");
                if (_credited.CurrentCount == 0)
                    _credited.Release();
                break;
            case MuxType.End:
                _incoming.Writer.TryComplete();
                break;
            default:
                _incoming.Writer.TryComplete();
                if (!_gone.TrySetResult())
                    throw new GuestProtocolException("a channel that is gone twice");
                break;
        }
    }

    private async Task RunAsync(EndPoint door)
    {
        try
        {
            using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            using (var broken = CancellationTokenSource.CreateLinkedTokenSource(_end))
            {
                await ServeAsync(socket, door, broken);
            }

            _incoming.Writer.TryComplete();
            await _send(MuxFrames.Write(_id, MuxType.Gone, []));
            await _gone.Task.WaitAsync(_end);
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            // With the whole port.
        }

        _forget(_id);
    }

    /// <summary>Until both ways are done, or the socket is broken, or the guest's end is.</summary>
    private async Task ServeAsync(Socket socket, EndPoint door, CancellationTokenSource broken)
    {
        try
        {
            await socket.ConnectAsync(door, broken.Token);
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            return;
        }

        var incoming = MoveInAsync(socket, broken);
        var outgoing = MoveOutAsync(socket, broken);
        // When the guest's end is gone nothing more is for it, but what it sent before still goes out.
        if (await Task.WhenAny(_gone.Task, Task.WhenAll(incoming, outgoing)) == _gone.Task)
        {
            await incoming;
            await broken.CancelAsync();
        }

        await outgoing;
    }

    private async Task MoveInAsync(Socket socket, CancellationTokenSource broken)
    {
        try
        {
            await foreach (var data in _incoming.Reader.ReadAllAsync(broken.Token))
            {
                for (var at = 0; at < data.Length;)
                    at += await socket.SendAsync(data.AsMemory(at), broken.Token);
                var credit = new byte[4];
                BinaryPrimitives.WriteInt32LittleEndian(credit, data.Length);
                Interlocked.Add(ref _mayReceive, data.Length);
                await _send(MuxFrames.Write(_id, MuxType.Credit, credit));
            }

            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            await broken.CancelAsync();
        }
    }

    private async Task MoveOutAsync(Socket socket, CancellationTokenSource broken)
    {
        var frame = new byte[MuxFrames.Header + MuxFrames.MaxPayload];
        try
        {
            while (true)
            {
                var most = Interlocked.Read(ref _maySend);
                if (most == 0)
                {
                    await _credited.WaitAsync(broken.Token);
                    continue;
                }

                var length = await socket.ReceiveAsync(frame.AsMemory(MuxFrames.Header, (int)Math.Min(most, MuxFrames.MaxPayload)), broken.Token);
                if (length == 0)
                    break;
                Interlocked.Add(ref _maySend, -length);
                MuxFrames.WriteHead(frame, _id, MuxType.Data, length);
                await _send(frame.AsMemory(0, MuxFrames.Header + length));
            }

            await _send(MuxFrames.Write(_id, MuxType.End, []));
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            await broken.CancelAsync();
        }
    }

    private static bool IsTheEnd(Exception e) => e is IOException or SocketException or ObjectDisposedException or OperationCanceledException;
}
