using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>The frames that tell a worker what to run.</summary>
internal static class CommandFrames
{
    private const int MaxStringBytes = 2 << 20, MaxStrings = 4096;

    /// <summary>Why <see cref="Encode"/> answered nothing.</summary>
    public static Failure Invalid { get; } = new(ErrorCodes.ToolArguments,
        $"a command needs a program, no zero bytes, and at most {MaxStrings} strings of {FrameStream.MaxPayload} bytes each and {MaxStringBytes} in all");

    public static ReadOnlyMemory<byte>? Encode(
        IReadOnlyList<string> command, string? directory, IReadOnlyDictionary<string, string> environment, TerminalSize? terminal)
    {
        var frames = new FrameBuilder();
        var total = 0L;
        var count = 0;
        var valid = command.Count > 0 && command[0].Length > 0;
        foreach (var argument in command)
            Add(FrameType.Argument, argument);
        foreach (var (name, value) in BoxEnvironment.Complete(environment))
            Add(FrameType.Environment, $"{name}={value}");
        if (directory is { Length: > 0 })
            Add(FrameType.Directory, directory);
        if (terminal is { } size)
            frames.Add(FrameType.Terminal, Encode(size));
        frames.Add(FrameType.Start, default);
        return valid && total <= MaxStringBytes && count <= MaxStrings ? frames.Build() : null;

        void Add(FrameType type, string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            valid &= bytes.Length <= FrameStream.MaxPayload && !bytes.AsSpan().Contains((byte)0);
            total += bytes.Length;
            count++;
            if (valid)
                frames.Add(type, bytes);
        }
    }

    /// <summary>A terminal without a row would be none to the guest.</summary>
    public static byte[] Encode(TerminalSize size)
    {
        var bytes = new byte[4];
        BitConverter.TryWriteBytes(bytes, Math.Max(size.Rows, (ushort)1));
        BitConverter.TryWriteBytes(bytes.AsSpan(2), Math.Max(size.Columns, (ushort)1));
        return bytes;
    }
}

/// <summary>What every command finds in its environment; nothing of the server's own.</summary>
internal static class BoxEnvironment
{
    private static readonly IReadOnlyDictionary<string, string> Defaults = new Dictionary<string, string>
    {
        ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ["HOME"] = "/workspace",
        ["USER"] = "agent",
        ["LOGNAME"] = "agent",
        ["SHELL"] = "/bin/sh",
        ["LANG"] = "C.UTF-8",
        ["TMPDIR"] = "/tmp",
    };

    public static IReadOnlyDictionary<string, string> Complete(IReadOnlyDictionary<string, string> given)
    {
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in Defaults)
            all[name] = value;
        foreach (var (name, value) in given)
            all[name] = value;
        return all;
    }
}
