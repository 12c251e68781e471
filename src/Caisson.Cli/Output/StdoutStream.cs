using System.Runtime.InteropServices;

namespace Caisson.Cli.Output;

/// <summary>
/// Stdout, written as it is. The framework's console stream swallows a broken pipe, so <c>caisson logs -f | head</c>
/// would never end; a file stream keeps its own position, so two commands that append to one file would overwrite
/// each other.
/// </summary>
internal sealed partial class StdoutStream : Stream
{
    internal const int BrokenPipe = 32;

    private const int Interrupted = 4;
    private const int TryAgain = 11;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    internal static Stream Open() => OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : new StdoutStream();

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var written = WriteTo(1, buffer, buffer.Length);
            if (written > 0)
            {
                buffer = buffer[(int)written..];
                continue;
            }

            // Another process may have made the shared descriptor non-blocking: let its reader catch up.
            var error = Marshal.GetLastPInvokeError();
            if (error == TryAgain)
                Thread.Yield();
            else if (error != Interrupted)
                throw new IOException($"stdout: {Marshal.GetPInvokeErrorMessage(error)}", error);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteTo(int descriptor, ReadOnlySpan<byte> bytes, nint count);
}
