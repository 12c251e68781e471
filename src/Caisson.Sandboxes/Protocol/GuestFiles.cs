using System.Buffers.Binary;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>One file call over one stream. The box's kernel and the worker decide what may be reached; see guest/files.c.</summary>
internal static class GuestFiles
{
    private const string Workspace = "/workspace/";

    /// <summary>For a whole call: a file is bounded and local, so a longer one means a box that does not move.</summary>
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(60);

    public static async Task<FileReadOutcome> ReadAsync(
        GuestLink link, OpenStream open, string path, int maxBytes, TimeProvider time, CancellationToken cancellationToken)
    {
        var content = new MemoryStream();
        var size = 0L;
        var (failure, isLost) = await CallAsync(link, open, path, time,
            name => [(FrameType.Read, U64(maxBytes, name))],
            frame =>
            {
                if (frame.Type == FrameType.Size)
                    size = (long)Math.Min(frame.U64(0), long.MaxValue);
                else if (frame.Type == FrameType.Data && content.Length + frame.Payload.Length <= maxBytes)
                    content.Write(frame.Payload.Span);
                else
                    return false;
                return true;
            },
            null, cancellationToken);
        return failure is null ? new FileReadOutcome.Found(content.ToArray(), Math.Max(size, content.Length))
            : isLost ? new FileReadOutcome.Lost(failure) : new FileReadOutcome.Refused(failure);
    }

    public static async Task<FileWriteOutcome> WriteAsync(
        GuestLink link, OpenStream open, string path, ReadOnlyMemory<byte> content, TimeProvider time, CancellationToken cancellationToken)
    {
        var (failure, isLost) = await CallAsync(link, open, path, time, name => Frames(name, content), _ => false, null, cancellationToken);
        return failure is null ? new FileWriteOutcome.Written()
            : isLost ? new FileWriteOutcome.Lost(failure) : new FileWriteOutcome.Refused(failure);

        static IEnumerable<(FrameType, ReadOnlyMemory<byte>)> Frames(byte[] name, ReadOnlyMemory<byte> content)
        {
            yield return (FrameType.Write, name);
            for (var at = 0; at < content.Length; at += FrameStream.MaxPayload)
                yield return (FrameType.Data, content[at..Math.Min(content.Length, at + FrameStream.MaxPayload)]);
            yield return (FrameType.End, default);
        }
    }

    public static async Task<FileListOutcome> ListAsync(
        GuestLink link, OpenStream open, string path, int maxEntries, TimeProvider time, CancellationToken cancellationToken)
    {
        var entries = new List<FileEntry>();
        var more = false;
        var (failure, isLost) = await CallAsync(link, open, path, time,
            name => [(FrameType.List, U32(maxEntries, name))],
            frame =>
            {
                if (frame.Type != FrameType.Entry || entries.Count >= maxEntries)
                    return false;
                var kind = frame.Payload.Span[0] switch { (byte)'f' => "file", (byte)'d' => "directory", (byte)'l' => "link", _ => "other" };
                entries.Add(new FileEntry(Encoding.UTF8.GetString(frame.Payload.Span[9..]), kind, (long)Math.Min(frame.U64(1), long.MaxValue)));
                return true;
            },
            done => more = done.Payload.Span[0] != 0, cancellationToken);
        entries.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return failure is null ? new FileListOutcome.Listed(entries, more)
            : isLost ? new FileListOutcome.Lost(failure) : new FileListOutcome.Refused(failure);
    }

    /// <param name="accept">Takes a frame that comes before the last one; <c>false</c> means that it has no place there.</param>
    private static async Task<(Failure? Failure, bool IsLost)> CallAsync(
        GuestLink link,
        OpenStream open,
        string path,
        TimeProvider time,
        Func<byte[], IEnumerable<(FrameType Type, ReadOnlyMemory<byte> Payload)>> request,
        Func<Frame, bool> accept,
        Action<Frame>? done,
        CancellationToken cancellationToken)
    {
        var name = Encoding.UTF8.GetBytes(path.StartsWith(Workspace, StringComparison.Ordinal) ? path[Workspace.Length..] : path);
        if (name.AsSpan().Contains((byte)0) || name.Length > 4096)
            return (new Failure(ErrorCodes.ToolArguments, "a path holds no zero byte and at most 4096 bytes"), false);
        using var limit = new CancellationTokenSource(CallLimit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        var killRounds = link.KillRounds;
        try
        {
            var (opened, failure) = await open(StreamKind.Files, either.Token);
            if (opened is null)
                return (failure, link.Lost.IsCompleted);
            using var stream = opened;
            foreach (var (type, payload) in request(name))
                await stream.WriteAsync(type, payload, either.Token);
            while (await stream.ReadAsync(either.Token) is { } frame)
            {
                if (frame.Type == FrameType.Failed && GuestErrors.Dying(frame.U32(0)) is { } dying)
                {
                    link.Break(dying);
                    return (await link.Lost, true);
                }

                if (frame.Type == FrameType.Failed)
                    return (GuestErrors.File(path, frame.U32(0)), false);
                if (frame.Type == FrameType.Done)
                {
                    done?.Invoke(frame);
                    return (null, false);
                }

                if (!accept(frame))
                    throw new GuestProtocolException($"{frame.Type} in a file call");
            }

            if (link.KillRounds != killRounds && !link.Lost.IsCompleted)
                return (GuestLink.Ended, false);
            link.Break(new Failure(ErrorCodes.SandboxLost, "the box ended during a file call", Retryable: true));
            return (await link.Lost, true);
        }
        catch (GuestProtocolException e)
        {
            link.Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
            return (await link.Lost, true);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            link.Break(new Failure(ErrorCodes.SandboxLost, $"a file call took longer than {CallLimit}", Retryable: true));
            return (await link.Lost, true);
        }
    }

    private static byte[] U64(long value, byte[] name)
    {
        var payload = new byte[8 + name.Length];
        BinaryPrimitives.WriteInt64LittleEndian(payload, Math.Max(0, value));
        name.CopyTo(payload, 8);
        return payload;
    }

    private static byte[] U32(int value, byte[] name)
    {
        var payload = new byte[4 + name.Length];
        BinaryPrimitives.WriteInt32LittleEndian(payload, Math.Max(0, value));
        name.CopyTo(payload, 4);
        return payload;
    }
}
