using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Protocol;
using CsCheck;

namespace Caisson.Sandboxes.Tests;

/// <summary>
/// The host's half of the protocol against a guest that says anything: frames in any order, of any length, cut anywhere.
/// Whatever comes, a call has an outcome, and what breaks the protocol loses the box.
/// </summary>
public sealed class HostileGuestTests
{
    private const int CallSamples = 400, LinkSamples = 60;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private static readonly Gen<byte> Type = Any([.. Enum.GetValues<FrameType>().Select(t => (byte)t)]);
    private static readonly Gen<uint> Length = Gen.OneOf(Gen.UInt[0, 40], Any(65535u, 65536u, 65537u, 0x7fffffffu, 0x80000000u, uint.MaxValue));

    /// <summary>As long as its type says, with anything in it.</summary>
    private static readonly Gen<byte[]> Plausible = Gen.Select(Type, Gen.Byte.Array[32], Gen.Int[1, 32]).Select((type, bytes, other) =>
    {
        var lengths = Enumerable.Range(0, 33).Where(n => IsValid(type, (uint)n)).ToList();
        return Frame(type, bytes[..(lengths.Count == 0 ? other : lengths[other % lengths.Count])]);
    });

    private static readonly Gen<byte[]> Wrong = Gen.Select(Type, Length, Gen.Byte.Array[0, 64]).Select((type, length, bytes) =>
        (byte[])[.. BitConverter.GetBytes(length), type, .. bytes]);

    private static readonly Gen<byte[]> Conversation = Gen.Select(
        Gen.Frequency((8, Plausible), (1, Wrong), (1, Gen.Byte.Array[0, 30])).Array[0, 10].Select(parts => parts.SelectMany(p => p).ToArray()),
        Gen.Int[0, 20]).Select((bytes, cut) => bytes[..Math.Max(0, bytes.Length - Math.Max(0, cut - 15))]);

    private static readonly Gen<(byte[] Bytes, int Chunk)> Hostile = Gen.Select(Conversation, Gen.OneOf(Gen.Int[1, 7], Gen.Const(1 << 20)));

    [Fact]
    public async Task Bytes_are_the_same_frames_wherever_they_are_cut()
    {
        await Hostile.SampleAsync(async h => Assert.Equal(await ReadAllAsync(h.Bytes, 1 << 20), await ReadAllAsync(h.Bytes, h.Chunk)));

        static async Task<string> ReadAllAsync(byte[] bytes, int chunk)
        {
            var seen = new List<string>();
            using var frames = new FrameStream(new Pieces(bytes, chunk));
            try
            {
                while (await frames.ReadAsync(default) is { } frame)
                {
                    Assert.True(frame.Payload.Length <= FrameStream.MaxPayload && Enum.IsDefined(frame.Type));
                    seen.Add($"{frame.Type} {Convert.ToHexString(frame.Payload.Span)}");
                }

                return string.Join('\n', seen) + "\nend";
            }
            catch (GuestProtocolException e)
            {
                return string.Join('\n', seen) + "\n" + e.Message;
            }
        }
    }

    [Fact]
    public Task A_command_has_an_outcome() => EachAsync(async (link, open) =>
    {
        var request = new ExecRequest(["x"], null, new Dictionary<string, string>(), new byte[100_000], TimeSpan.FromMinutes(1), 1000);
        var outcome = await GuestExec.RunAsync(link, open, request, TimeProvider.System, default);

        Assert.True(outcome is ExecOutcome.Exited { ExitCode: >= 0 and < 256 } or ExecOutcome.NotStarted or ExecOutcome.Lost, $"{outcome}");
        Assert.Equal(outcome is ExecOutcome.Lost, link.Lost.IsCompleted);
    });

    [Fact]
    public Task A_file_call_has_an_outcome_within_its_bound() => EachAsync(async (link, open) =>
    {
        var read = await GuestFiles.ReadAsync(link, open, "x", 20, TimeProvider.System, default);
        Assert.True(read is not FileReadOutcome.Found found || (found.Content.Length <= 20 && found.TotalBytes >= found.Content.Length), $"{read}");
        Assert.Equal(read is FileReadOutcome.Lost, link.Lost.IsCompleted);
        var list = await GuestFiles.ListAsync(link, open, "x", 3, TimeProvider.System, default);
        Assert.True(list is not FileListOutcome.Listed listed || listed.Entries.Count <= 3, $"{list}");
        await GuestFiles.WriteAsync(link, open, "x", new byte[100_000], TimeProvider.System, default);
    });

    [Theory]
    [InlineData(5u, true)]
    [InlineData(2u, false)]
    public async Task A_box_that_cannot_reach_its_files_is_lost_and_one_without_the_program_is_not(uint error, bool isLost)
    {
        using var folder = new Folder();
        using var link = GuestLink.Listen(folder.Io, TimeProvider.System);
        var report = Frame((byte)FrameType.NotStarted, [.. BitConverter.GetBytes(error), (byte)'d']);
        OpenStream open = (_, _) => Task.FromResult<(FrameStream?, Failure?)>((new FrameStream(new Pieces(report, 64)) { Ticket = new StreamTicket(1, new byte[FrameStream.TokenLength]) }, null));

        var outcome = await GuestExec.RunAsync(link, open, new ExecRequest(["x"], null, new Dictionary<string, string>(), default, Limit, 1000), TimeProvider.System, default);

        Assert.Equal(isLost, outcome is ExecOutcome.Lost);
        Assert.Equal(isLost, link.Lost.IsCompleted);
    }

    [Fact]
    public Task A_terminal_ends() => EachAsync(async (link, open) =>
    {
        var closed = 0;
        var request = new TerminalRequest(["x"], null, new Dictionary<string, string>(), new TerminalSize(24, 80));
        var outcome = await GuestTerminal.OpenAsync(link, open, request, () => closed++, default);
        if (outcome is not TerminalOutcome.Opened opened)
            return;
        await using (opened.Terminal)
        {
            await foreach (var _ in opened.Terminal.ReadAsync(default))
            {
            }

            await opened.Terminal.WriteAsync(new byte[10], default);
            await opened.Terminal.Ended;
        }

        Assert.Equal(1, closed);
    });

    [Theory]
    [InlineData("ctl.sock")]
    [InlineData("io.sock")]
    [InlineData("gw.sock")]
    public async Task What_dials_and_says_anything_is_taken_for_what_it_is(string name)
    {
        await Hostile.SampleAsync(async h =>
        {
            using var folder = new Folder();
            using var link = GuestLink.Listen(folder.Io, TimeProvider.System);
            using var control = await folder.DialAsync("ctl.sock");
            await control.SendAsync(Frame((byte)FrameType.Hello, BitConverter.GetBytes(GuestLink.ProtocolVersion)));
            Assert.Null(await link.ConnectAsync(default));

            using var other = name == "ctl.sock" ? null : await folder.DialAsync(name);
            await SendAsync(other ?? control, h);
            (other ?? control).Shutdown(SocketShutdown.Send);

            if (other is null)
                Assert.True((await link.Lost.WaitAsync(Limit, TimeProvider.System)).Code is ErrorCodes.SandboxLost or ErrorCodes.SandboxProtocol);
            else
                await UntilClosedAsync(other);
        }, iter: LinkSamples, threads: 1);
    }

    /// <summary>The host closes what it does not believe.</summary>
    private static async Task UntilClosedAsync(Socket socket)
    {
        var buffer = new byte[256];
        try
        {
            while (await socket.ReceiveAsync(buffer).WaitAsync(Limit, TimeProvider.System) > 0)
            {
            }
        }
        catch (SocketException)
        {
            // Closed with bytes of ours unread.
        }
    }

    private static async Task SendAsync(Socket socket, (byte[] Bytes, int Chunk) h)
    {
        try
        {
            for (var at = 0; at < h.Bytes.Length; at += h.Chunk)
                await socket.SendAsync(h.Bytes.AsMemory(at, Math.Min(h.Chunk, h.Bytes.Length - at)));
        }
        catch (SocketException)
        {
            // Closed in the middle, by a host that has heard enough.
        }
    }

    private static Task EachAsync(Func<GuestLink, OpenStream, Task> check) => Hostile.SampleAsync(async h =>
    {
        using var folder = new Folder();
        using var link = GuestLink.Listen(folder.Io, TimeProvider.System);
        await check(link, (_, _) => Task.FromResult<(FrameStream?, Failure?)>((new FrameStream(new Pieces(h.Bytes, h.Chunk)) { Ticket = new StreamTicket(1, new byte[FrameStream.TokenLength]) }, null))).WaitAsync(Limit, TimeProvider.System);
    }, iter: CallSamples, threads: 1);

    private static Gen<T> Any<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static bool IsValid(byte type, uint length)
    {
        try
        {
            FrameStream.Validate((FrameType)type, length);
            return true;
        }
        catch (GuestProtocolException)
        {
            return false;
        }
    }

    private static byte[] Frame(byte type, byte[] payload) => [.. BitConverter.GetBytes((uint)payload.Length), type, .. payload];

    private sealed class Folder : IDisposable
    {
        private readonly string _path = Directory.CreateTempSubdirectory("caisson-hostile-").FullName;

        public string Io => Path.Combine(_path, "io");

        public async Task<Socket> DialAsync(string name)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(Io, name)));
            return socket;
        }

        public void Dispose() => Directory.Delete(_path, recursive: true);
    }

    /// <summary>Answers so many bytes at a time, and takes whatever is written.</summary>
    private sealed class Pieces(byte[] bytes, int chunk) : MemoryStream(bytes, writable: false)
    {
        public override bool CanWrite => true;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            await base.ReadAsync(buffer[..Math.Min(buffer.Length, chunk)], cancellationToken);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;
    }
}
