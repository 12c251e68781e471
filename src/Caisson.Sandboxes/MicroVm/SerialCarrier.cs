using System.Collections.Concurrent;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Protocol;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>
/// Carries the connections of a machine's guest agent from its one serial port to the box's sockets; guest/bridge.h has
/// the protocol, its states and invariants.
/// <para>
/// QEMU dials, once. One loop reads and never waits for a channel, because what comes fits the channel's window or the
/// guest has broken the protocol. Each channel has two loops of its own (<see cref="CarriedChannel"/>).
/// </para>
/// <para>
/// Who dies: QEMU or the guest's bridge: the port ends, all channels close, the control connection among them, and the
/// box is lost. The guest breaks the protocol: the same, with that as the reason. The host: QEMU dies with its launcher.
/// </para>
/// </summary>
internal sealed class SerialCarrier : IAsyncDisposable
{
    private static readonly string[] Doors = ["ctl.sock", "io.sock", "gw.sock"];

    private readonly Socket _listener;
    private readonly SafeFileHandle _folder, _sockets;
    private readonly Action<Failure> _lose;
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentDictionary<uint, CarriedChannel> _channels = new();
    private readonly SemaphoreSlim _writing = new(1);
    private readonly Task _running;

    private SerialCarrier(Socket listener, SafeFileHandle folder, SafeFileHandle sockets, Action<Failure> lose)
    {
        (_listener, _folder, _sockets, _lose) = (listener, folder, sockets, lose);
        _running = Task.Run(RunAsync);
    }

    /// <summary>Listens for QEMU in a folder that only this process sees.</summary>
    /// <param name="sockets">The folder of the box's own sockets.</param>
    /// <param name="lose">Ends the box for a reason.</param>
    public static SerialCarrier Listen(string folder, string name, string sockets, Action<Failure> lose)
    {
        // Open as long as the listener: that removes its name when it goes, by way of this number.
        var parent = Folder(folder);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(Name(parent, name));
        listener.Listen(1);
        return new SerialCarrier(listener, parent, Folder(sockets), lose);
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _running;
        _folder.Dispose();
        _sockets.Dispose();
        _end.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            using var socket = await _listener.AcceptAsync(_end.Token);
            _listener.Dispose();
            await using var port = new NetworkStream(socket);
            await ReadAsync(port);
        }
        catch (GuestProtocolException e)
        {
            _lose(new Failure(ErrorCodes.SandboxProtocol, e.Message));
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // QEMU went away, or the box is being destroyed.
        }
        finally
        {
            _listener.Dispose();
            await _end.CancelAsync();
            await Task.WhenAll(_channels.Values.Select(c => c.Ended));
        }
    }

    private async Task ReadAsync(NetworkStream port)
    {
        var buffer = new byte[MuxFrames.Header + MuxFrames.MaxPayload];
        var last = 0u;
        // A buffer of some frames: small ones come in one read.
        await using var buffered = new BufferedStream(port, 64 << 10);
        while (await MuxFrames.ReadAsync(buffered, buffer, _end.Token) is { } frame)
        {
            if (frame.Type != MuxType.Open)
            {
                if (!_channels.TryGetValue(frame.Channel, out var channel))
                    throw new GuestProtocolException($"{frame.Type} for a channel that is not open");
                channel.Take(frame);
                continue;
            }

            if (frame.Channel <= last || _channels.Count >= MuxFrames.MaxChannels)
                throw new GuestProtocolException("a channel that may not be opened");
            last = frame.Channel;
            _channels[last] = new CarriedChannel(last, Name(_sockets, Doors[frame.Door]), SendAsync, Forget, _end.Token);
        }

        async ValueTask SendAsync(ReadOnlyMemory<byte> bytes)
        {
            await _writing.WaitAsync(_end.Token);
            try
            {
                await port.WriteAsync(bytes, _end.Token);
            }
            finally
            {
                _writing.Release();
            }
        }
    }

    private void Forget(uint channel) => _channels.TryRemove(channel, out _);

    // A socket's name may have 107 bytes; through the open folder it is short wherever the folder is.
    private static SafeFileHandle Folder(string path) =>
        Libc.Open(Libc.CurrentDirectory, System.Text.Encoding.UTF8.GetBytes(path), Libc.PathOnly | Libc.Directory);

    private static UnixDomainSocketEndPoint Name(SafeFileHandle folder, string name) => new($"/proc/self/fd/{Libc.Number(folder)}/{name}");
}
