using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;

namespace Caisson.Cli.Supervise;

/// <summary>
/// The listening socket, held by the supervisor and lent to each server. While no server runs, callers wait in the
/// kernel's queue instead of being refused, and nobody else can take the port.
/// </summary>
internal sealed class ListenSocket : IDisposable
{
    private const int Backlog = 512;

    private readonly Socket _socket;

    private ListenSocket(Socket socket) => _socket = socket;

    internal IPEndPoint Address => (IPEndPoint)_socket.LocalEndPoint!;

    internal int Descriptor => (int)_socket.Handle;

    internal static ListenSocket Open(IPEndPoint address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(address);
            socket.Listen(Backlog);
            Posix.SetInherited((int)socket.Handle, true);
            return new ListenSocket(socket);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new CommandFailure(ExitCodes.Config, ErrorCodes.ConfigInvalid,
                $"server.listen: cannot listen on {address} ({e.Message}): stop what listens there or choose another port with --listen");
        }
    }

    public void Dispose() => _socket.Dispose();
}
