using System.Collections.Frozen;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// Connections that programs in a box make to forwarded ports. Each comes as one connection of gw.sock, which begins
/// with the port's number (guest/forward.c); what follows is the program's own and goes to the service as it is.
/// <para>
/// Only the guest agent reaches gw.sock, so a port that is not forwarded is no program's doing: it ends the box. Too
/// many connections are a program's doing: the next one is closed.
/// </para>
/// </summary>
internal sealed class GuestForwards(Socket listener, Action<Failure> breakLink, CancellationToken end) : IDisposable
{
    private const int MaxConnections = 256;

    private FrozenDictionary<ushort, IBoxService> _services = FrozenDictionary<ushort, IBoxService>.Empty;
    private int _connections;

    public void Set(IReadOnlyList<BoxForward> forwards) => _services = forwards.ToFrozenDictionary(f => (ushort)f.Port, f => f.Service);

    public async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var socket = await listener.AcceptAsync(end);
                if (Interlocked.Increment(ref _connections) > MaxConnections)
                {
                    Interlocked.Decrement(ref _connections);
                    socket.Dispose();
                    continue;
                }

                _ = Task.Run(() => ServeAsync(socket), CancellationToken.None);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    public void Dispose() => listener.Dispose();

    private async Task ServeAsync(Socket socket)
    {
        using var stream = new NetworkStream(socket, ownsSocket: true);
        try
        {
            // Not disposed of: the stream behind it lives on.
            if (await new FrameStream(stream).ReadAsync(end) is not { } frame)
                return;
            if (frame.Type != FrameType.Port)
                throw new GuestProtocolException($"{frame.Type} on a forwarded connection");
            // A connection to a port that was forwarded until a moment ago is an honest one that came late.
            if (_services.TryGetValue(BitConverter.ToUInt16(frame.Payload.Span), out var service))
                await service.ServeAsync(stream, end);
        }
        catch (GuestProtocolException e)
        {
            breakLink(new Failure(ErrorCodes.SandboxProtocol, e.Message));
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // Either end went away in the middle, which is theirs to do.
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }
}
