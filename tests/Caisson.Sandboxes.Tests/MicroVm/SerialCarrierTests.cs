using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Sandboxes.MicroVm;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>The carrier against a guest of the test's own, without a machine.</summary>
public sealed class SerialCarrierTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly string _directory = Directory.CreateTempSubdirectory("caisson-carrier-").FullName;
    private readonly TaskCompletionSource<Failure> _lost = new();
    private readonly Dictionary<string, Socket> _doors = [];
    private readonly byte[] _buffer = new byte[MuxFrames.Header + MuxFrames.MaxPayload];
    private SerialCarrier _carrier = null!;
    private Socket _qemu = null!;
    private NetworkStream _port = null!;

    public async ValueTask InitializeAsync()
    {
        foreach (var door in new[] { "ctl.sock", "io.sock", "gw.sock" })
            (_doors[door] = Listener(door)).Listen(16);
        _carrier = SerialCarrier.Listen(_directory, "vm.sock", _directory, f => _lost.TrySetResult(f));
        _qemu = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await _qemu.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(_directory, "vm.sock")));
        _port = new NetworkStream(_qemu);
    }

    public async ValueTask DisposeAsync()
    {
        await _carrier.DisposeAsync();
        await _port.DisposeAsync();
        _qemu.Dispose();
        foreach (var door in _doors.Values)
            door.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Bytes_and_ends_go_both_ways_and_the_channel_is_forgotten()
    {
        await SendAsync(1, MuxType.Open, 1);
        using var door = await AcceptAsync("io.sock");
        await SendAsync(1, MuxType.Data, 10, 11);
        await SendAsync(1, MuxType.End);
        var came = new byte[10];

        Assert.Equal(2, await door.ReceiveAsync(came));
        Assert.Equal(0, await door.ReceiveAsync(came));
        await door.SendAsync((byte[])[20]);
        door.Shutdown(SocketShutdown.Send);

        (MuxType Type, int Length)[] frames = [await FrameAsync(), await FrameAsync(), await FrameAsync(), await FrameAsync()];
        Assert.Equal([(MuxType.Data, 1), (MuxType.Credit, 4), (MuxType.End, 0), (MuxType.Gone, 0)], frames.OrderBy(f => f.Type));
        Assert.Equal((MuxType.Gone, 0), frames[^1]);
        await SendAsync(1, MuxType.Gone);
        // It is known until it is forgotten, which is soon.
        await Eventually.SeesAsync(
            async () =>
            {
                await Record.ExceptionAsync(() => SendAsync(1, MuxType.End).AsTask());
                return _lost.Task.IsCompleted;
            },
            lost => lost,
            Limit);
        Assert.Equal(ErrorCodes.SandboxProtocol, (await _lost.Task).Code);
    }

    [Fact]
    public async Task A_channel_that_nobody_reads_stops_at_its_window_and_holds_up_no_other()
    {
        await SendAsync(1, MuxType.Open, 2);
        using var stalled = await AcceptAsync("gw.sock");
        var full = new byte[MuxFrames.MaxPayload];
        await SendAsync(2, MuxType.Open, 1);
        using var door = await AcceptAsync("io.sock");

        // As much as the guest has credit for: then the door's own buffers are full as well.
        for (long may = MuxFrames.Window; may >= full.Length; may -= full.Length)
        {
            await SendAsync(1, MuxType.Data, full);
            using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(200), TimeProvider.System);
            try
            {
                while (true)
                {
                    var frame = await MuxFrames.ReadAsync(_port, _buffer, soon.Token);
                    may += frame!.Value.Credit;
                    if (may >= 2 * full.Length)
                        break;
                }
            }
            catch (OperationCanceledException)
            {
                // No credit: the door does not take it.
            }
        }

        await SendAsync(2, MuxType.Data, 7);
        var came = new byte[10];
        Assert.Equal(1, await door.ReceiveAsync(came).WaitAsync(Limit, TimeProvider.System));
        Assert.False(_lost.Task.IsCompleted);

        // More than it has credit for is not kept. It hangs up at the first frame too much, maybe before the next is sent.
        try
        {
            for (var i = 0; i < 3; i++)
                await SendAsync(1, MuxType.Data, full);
        }
        catch (IOException)
        {
        }

        Assert.Equal(ErrorCodes.SandboxProtocol, (await _lost.Task.WaitAsync(Limit, TimeProvider.System)).Code);
    }

    [Fact]
    public async Task A_door_that_does_not_open_is_told_and_the_rest_goes_on()
    {
        _doors["ctl.sock"].Dispose();
        await SendAsync(1, MuxType.Open, 0);
        Assert.Equal((MuxType.Gone, 0), await FrameAsync());
        await SendAsync(1, MuxType.Gone);
        await SendAsync(2, MuxType.Open, 1);

        using var door = await AcceptAsync("io.sock");
        await door.SendAsync((byte[])[1, 2, 3]);

        Assert.Equal((MuxType.Data, 3), await FrameAsync());
    }

    [Theory]
    [InlineData(new byte[] { 9, 0, 0, 0, 0, 0, 4, 0 })]                                        // the end of no channel
    [InlineData(new byte[] { 0, 0, 0, 0, 1, 0, 1, 0, 1 })]                                     // a number that does not grow
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1 })]           // the same twice
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 4, 0, 3, 0, 1, 0, 0, 0 })]  // credit beyond the window
    [InlineData(new byte[] { 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 4, 0, 3, 0, 255, 255, 255, 255 })]
    [InlineData(new byte[] { 200, 200, 200, 200, 200, 200, 200, 200 })]
    public async Task A_guest_that_breaks_the_protocol_loses_its_box(byte[] bytes)
    {
        await _port.WriteAsync(bytes);

        Assert.Equal(ErrorCodes.SandboxProtocol, (await _lost.Task.WaitAsync(Limit, TimeProvider.System)).Code);
        await Record.ExceptionAsync(() => _port.CopyToAsync(Stream.Null).WaitAsync(Limit, TimeProvider.System));
        Assert.NotNull(await Record.ExceptionAsync(async () => await _port.WriteAsync(_buffer)));
    }

    [Fact]
    public async Task More_channels_than_may_be_end_the_box()
    {
        for (var i = 1u; i <= MuxFrames.MaxChannels + 1; i++)
            await SendAsync(i, MuxType.Open, 1);

        Assert.Equal(ErrorCodes.SandboxProtocol, (await _lost.Task.WaitAsync(Limit, TimeProvider.System)).Code);
    }

    private Socket Listener(string door)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(Path.Combine(_directory, door)));
        return socket;
    }

    private Task<Socket> AcceptAsync(string door) => _doors[door].AcceptAsync().WaitAsync(Limit, TimeProvider.System);

    private ValueTask SendAsync(uint channel, MuxType type, params byte[] payload) => _port.WriteAsync(MuxFrames.Write(channel, type, payload));

    private async Task<(MuxType Type, int Length)> FrameAsync()
    {
        var frame = await MuxFrames.ReadAsync(_port, _buffer, default).AsTask().WaitAsync(Limit, TimeProvider.System);
        return (frame!.Value.Type, frame.Value.Payload.Length);
    }
}
