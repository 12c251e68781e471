using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// The host's end of a box: one control connection, and one more connection for each command or file call.
/// <para>
/// Problem: only the guest can dial (the box has no listener that the host could reach), and whatever dials may be a
/// hostile program.
/// </para>
/// <para>
/// States: listening, then connected (ctl has said hello and its name is unlinked), then lost. Lost is final and has
/// one reason, the first.
/// </para>
/// <para>
/// Invariants: ctl accepts once; a second connection ends the box. A stream is believed only with the number and the
/// 128-bit token of an open call of ours, each good for once; anything else on io ends the box. The sockets are the
/// agent's own by mode and owner, so that a command inside cannot even try.
/// </para>
/// <para>Who dies: the guest: ctl ends, the box is lost. The host: the launcher sees its pipe end and kills the box.</para>
/// </summary>
internal sealed partial class GuestLink : IDisposable
{
    /// <summary>Of the guest agent, see guest/guest.h.</summary>
    public const uint AgentUser = 10000, WorkUser = 10001;

    public const uint ProtocolVersion = 2;
    private const int MaxStrangers = 64;
    private static readonly TimeSpan TokenLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(15);

    /// <summary>Of a call whose process was killed because the workspace was restored.</summary>
    public static Failure Ended { get; } = new(ErrorCodes.SandboxLost, "killed because the workspace was restored", Retryable: true);

    private readonly string _directory;

    // The sockets are bound below its number, and each removes that name when it is disposed of: should the number mean
    // another box's folder by then, it would be that one's socket. So the folder stays open until they are gone.
    private readonly Microsoft.Win32.SafeHandles.SafeFileHandle _folder;
    private readonly TimeProvider _time;
    private Socket _controlListener;
    private readonly Socket _streamListener;
    private readonly CancellationTokenSource _end = new();
    private readonly TaskCompletionSource<Failure> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<uint, Waiting> _waiting = new();
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<uint>> _answers = new();
    private readonly GuestForwards _forwards;
    private FrameStream? _control;
    private uint _lastId;
    private long _outputBytes;
    private int _killRounds;
    private int _strangers;

    private GuestLink(string directory, Microsoft.Win32.SafeHandles.SafeFileHandle folder, Socket controlListener, Socket streamListener, Socket forwardListener, TimeProvider time)
    {
        (_directory, _folder, _controlListener, _streamListener, _time) = (directory, folder, controlListener, streamListener, time);
        _forwards = new GuestForwards(forwardListener, Break, _end.Token);
    }

    /// <summary>Written by commands of the box so far.</summary>
    public long OutputBytes => Interlocked.Read(ref _outputBytes);

    public void CountOutput(int bytes) => Interlocked.Add(ref _outputBytes, bytes);

    /// <summary>Ends, with the reason, when the link breaks or the guest breaks the protocol. The owner then ends the box.</summary>
    public Task<Failure> Lost => _lost.Task;

    /// <summary>Cancelled once the link is lost or disposed of: what waits for the guest need not wait longer.</summary>
    public CancellationToken Gone => _end.Token;

    /// <summary>
    /// How often everything in the box was killed by <see cref="KillAllAsync"/>. A stream that ends without a result
    /// after another round than it began in was ended by us, and the box is well.
    /// </summary>
    public int KillRounds => Volatile.Read(ref _killRounds);

    /// <summary>Opens the sockets in a folder of its own that the box will see.</summary>
    public static GuestLink Listen(string directory, TimeProvider time)
    {
        Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // A socket's name may have 107 bytes; through the open folder it is short wherever the folder is.
        var folder = Libc.Open(Libc.CurrentDirectory, System.Text.Encoding.UTF8.GetBytes(directory), Libc.PathOnly | Libc.Directory);
        var control = Listen(folder, directory, "ctl.sock");
        var stream = Listen(folder, directory, "io.sock");
        var forward = Listen(folder, directory, "gw.sock");
        Libc.ChangeOwner(directory, AgentUser);
        return new GuestLink(directory, folder, control, stream, forward, time);
    }

    /// <summary>Waits for the guest agent. Answers a failure where it does not come or speaks another version.</summary>
    public async Task<Failure?> ConnectAsync(CancellationToken cancellationToken)
    {
        if (await GreetAsync(cancellationToken) is { } failure)
            return failure;
        _ = Task.Run(AcceptStreamsAsync, CancellationToken.None);
        _ = Task.Run(_forwards.AcceptAsync, CancellationToken.None);
        return null;
    }

    private async Task<Failure?> GreetAsync(CancellationToken cancellationToken)
    {
        var control = new FrameStream(new NetworkStream(await _controlListener.AcceptAsync(cancellationToken), ownsSocket: true));
        _control = control;
        File.Delete(Path.Combine(_directory, "ctl.sock"));
        try
        {
            if (await control.ReadAsync(cancellationToken) is not { Type: FrameType.Hello } hello || hello.U32(0) != ProtocolVersion)
                return new Failure(ErrorCodes.SandboxProtocol, "the guest agent is of another version than the server; install the tools again");
        }
        catch (GuestProtocolException e)
        {
            return new Failure(ErrorCodes.SandboxProtocol, e.Message);
        }

        _ = Task.Run(ReadControlAsync, CancellationToken.None);
        _ = Task.Run(RefuseSecondControlAsync, CancellationToken.None);
        return null;
    }

    /// <summary>A new stream to a worker of its own in the box; <c>null</c> with the failure where there is none.</summary>
    public async Task<(FrameStream? Stream, Failure? Failure)> OpenAsync(StreamKind kind, CancellationToken cancellationToken)
    {
        var id = Interlocked.Increment(ref _lastId);
        var order = new byte[4 + 1 + FrameStream.TokenLength];
        BitConverter.TryWriteBytes(order, id);
        order[4] = (byte)kind;
        RandomNumberGenerator.Fill(order.AsSpan(5));
        var waiting = new Waiting(order[5..], new TaskCompletionSource<(FrameStream?, Failure?)>(TaskCreationOptions.RunContinuationsAsynchronously));
        _waiting[id] = waiting;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _end.Token);
        try
        {
            await _control!.WriteAsync(FrameType.Open, order, cancellationToken);
            // Dispose and a lost link both end the wait; which of them it was is known only to the owner.
            return await waiting.Opened.Task.WaitAsync(OpenLimit, _time, limit.Token);
        }
        catch (TimeoutException)
        {
            Break(new Failure(ErrorCodes.SandboxProtocol, $"the guest agent did not open a stream within {OpenLimit}"));
            return (null, await Lost);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, Lost.IsCompleted ? await Lost : new Failure(ErrorCodes.SandboxLost, "the box was destroyed", Retryable: true));
        }
        finally
        {
            // A call that is given up may still be dialled for. Its number stays known, so that this is no forgery.
            waiting.Opened.TrySetCanceled(CancellationToken.None);
        }
    }

    /// <summary>Kills everything in the box but the guest agent; answers a failure where it cannot be confirmed.</summary>
    public async Task<Failure?> KillAllAsync(CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _killRounds);
        var (_, failure) = await AskAsync(FrameType.KillAll, [], "end the box's processes", cancellationToken);
        return failure;
    }

    /// <summary>Makes these ports of the box's loopback, and no others, lead out of it.</summary>
    public async Task<Failure?> ForwardAsync(IReadOnlyList<BoxForward> forwards, CancellationToken cancellationToken)
    {
        var ports = new byte[2 * forwards.Count];
        for (var i = 0; i < forwards.Count; i++)
            BitConverter.TryWriteBytes(ports.AsSpan(2 * i), (ushort)forwards[i].Port);
        _forwards.Set(forwards);
        var (error, failure) = await AskAsync(FrameType.Forward, ports, "listen on the box's ports", cancellationToken);
        return failure ?? (error == 0 ? null : new Failure(ErrorCodes.SandboxStartFailed,
            $"the box cannot listen on its ports {string.Join(", ", forwards.Select(f => f.Port))}: {GuestErrors.Text(error)}"));
    }

    /// <summary>An order to process 1 that it answers. An answer that does not come in time breaks the link.</summary>
    private async Task<(uint Answer, Failure? Failure)> AskAsync(FrameType order, byte[] payload, string what, CancellationToken cancellationToken)
    {
        var id = Interlocked.Increment(ref _lastId);
        var answer = _answers[id] = new TaskCompletionSource<uint>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            await _control!.WriteAsync(order, (byte[])[.. BitConverter.GetBytes(id), .. payload], cancellationToken);
            var first = await Task.WhenAny(answer.Task, Lost).WaitAsync(OpenLimit, _time, cancellationToken);
            return first == Lost ? (0, await Lost) : (await answer.Task, null);
        }
        catch (TimeoutException)
        {
            Break(new Failure(ErrorCodes.SandboxProtocol, $"the guest agent did not {what} within {OpenLimit}"));
            return (0, await Lost);
        }
        finally
        {
            _answers.TryRemove(id, out _);
        }
    }

    /// <summary>Declares the box lost. The first reason stays.</summary>
    public void Break(Failure failure)
    {
        if (_lost.TrySetResult(failure))
            _end.Cancel();
    }

    public void Dispose()
    {
        _end.Cancel();
        _controlListener.Dispose();
        _streamListener.Dispose();
        _forwards.Dispose();
        _folder.Dispose();
        _control?.Dispose();
    }

    private static Socket Listen(Microsoft.Win32.SafeHandles.SafeFileHandle folder, string directory, string name)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint($"/proc/self/fd/{Libc.Number(folder)}/{name}"));
        var path = Path.Combine(directory, name);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Libc.ChangeOwner(path, AgentUser);
        socket.Listen(MaxStrangers);
        return socket;
    }

    private async Task ReadControlAsync()
    {
        try
        {
            var control = _control!;
            while (await control.ReadAsync(_end.Token) is { } frame)
                switch (frame.Type)
                {
                    case FrameType.Killed when _answers.TryGetValue(frame.U32(0), out var killed):
                        // PID 1 takes orders in turn: a worker of an earlier one that has not dialled is dead.
                        foreach (var (id, call) in _waiting)
                            if (id < frame.U32(0))
                                call.Opened.TrySetResult((null, Ended));
                        killed.TrySetResult(0);
                        break;
                    case FrameType.Detached when IsDetached && _answers.TryGetValue(frame.U32(0), out var left):
                        left.TrySetResult(0);
                        return;
                    case FrameType.Forwarding when _answers.TryGetValue(frame.U32(0), out var forwarding):
                        forwarding.TrySetResult(frame.U32(4));
                        break;
                    case FrameType.OpenFailed when _waiting.TryRemove(frame.U32(0), out var waiting):
                        waiting.Opened.TrySetResult((null, GuestErrors.NoProcess(frame.U32(4))));
                        break;
                    default:
                        throw new GuestProtocolException($"{frame.Type} on the control connection");
                }

            Break(new Failure(ErrorCodes.SandboxLost, "the box ended", Retryable: true));
        }
        catch (GuestProtocolException e)
        {
            Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task RefuseSecondControlAsync()
    {
        try
        {
            using var second = await _controlListener.AcceptAsync(_end.Token);
            Break(new Failure(ErrorCodes.SandboxProtocol, "a second control connection was made from the box"));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task AcceptStreamsAsync()
    {
        try
        {
            while (true)
            {
                var socket = await _streamListener.AcceptAsync(_end.Token);
                if (Interlocked.Increment(ref _strangers) > MaxStrangers)
                {
                    socket.Dispose();
                    Break(new Failure(ErrorCodes.SandboxProtocol, "too many connections from the box without a token"));
                    return;
                }

                _ = Task.Run(() => AdmitAsync(socket), CancellationToken.None);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task AdmitAsync(Socket socket)
    {
        var network = new NetworkStream(socket, ownsSocket: true);
        var stream = new FrameStream(network);
        try
        {
            using var limit = new CancellationTokenSource(TokenLimit, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _end.Token);
            // A worker that was killed between its dial and its token ends the stream, which is no one's fault.
            if (await stream.ReadAsync(either.Token) is { } frame)
            {
                if (frame.Type != FrameType.Token || !_waiting.TryRemove(frame.U32(0), out var waiting) ||
                    !CryptographicOperations.FixedTimeEquals(frame.Payload.Span[4..], waiting.Token))
                    throw new GuestProtocolException("a connection without a token of ours");
                if (waiting.Opened.TrySetResult((new FrameStream(network) { Ticket = new StreamTicket(frame.U32(0), waiting.Token), Retire = Retire }, null)))
                    return;
            }
        }
        catch (GuestProtocolException e)
        {
            Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
        }
        catch (OperationCanceledException)
        {
            // Too slow: dropped. The call that waits for it has a limit of its own.
        }
        finally
        {
            Interlocked.Decrement(ref _strangers);
        }

        stream.Dispose();
    }

    private sealed record Waiting(byte[] Token, TaskCompletionSource<(FrameStream? Stream, Failure? Failure)> Opened);
}

/// <summary>Opens a stream in a box that is thawed for it; see <see cref="GuestLink.OpenAsync"/>.</summary>
internal delegate Task<(FrameStream? Stream, Failure? Failure)> OpenStream(StreamKind kind, CancellationToken cancellationToken);

internal enum StreamKind : byte
{
    Exec = 1,
    Files = 2,
}
