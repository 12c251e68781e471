using System.Runtime.InteropServices;
using Caisson.Contracts;

namespace Caisson.Cli.Output;

/// <summary>
/// The user's terminal with every key passed on as it is. What it was before is put back when this is disposed of, and
/// also where the process ends by another way: <c>Environment.Exit</c> and signals that the framework handles pass
/// <see cref="AppDomain.ProcessExit"/>.
/// </summary>
internal sealed partial class RawTerminal : IDisposable
{
    private const int Now = 0;
    private const int Drained = 1;

    // Of both C libraries, on all machines, it is smaller; what it holds is none of our business.
    private const int SettingsSize = 256;
    private const nuint GetWindowSize = 0x5413;
    private const short Readable = 1;
    private const int PollMilliseconds = 200;

    private readonly byte[] _before;
    private int _restored;

    private RawTerminal(byte[] before)
    {
        _before = before;
        AppDomain.CurrentDomain.ProcessExit += Restore;
    }

    /// <summary>Whether a person sits at both ends.</summary>
    internal static bool IsThere => IsTerminal(0) == 1 && IsTerminal(1) == 1;

    internal static SandboxShellSize Size
    {
        get
        {
            var size = default(WindowSize);
            return IoControl(1, GetWindowSize, ref size) == 0 && size is { Rows: > 0, Columns: > 0 } ? new SandboxShellSize(size.Rows, size.Columns) : new SandboxShellSize(24, 80);
        }
    }

    internal static RawTerminal Enter()
    {
        var before = new byte[SettingsSize];
        if (GetSettings(0, before) != 0)
            throw CommandFailure.Usage($"the terminal does not tell its settings: {Marshal.GetLastPInvokeErrorMessage()}");
        var raw = (byte[])before.Clone();
        MakeRaw(raw);
        var terminal = new RawTerminal(before);
        _ = SetSettings(0, Drained, raw);
        return terminal;
    }

    /// <summary>What was typed; 0 where nothing was for a while, -1 at the end. The framework's own stream reads whole lines.</summary>
    internal static int Read(Span<byte> buffer)
    {
        var ask = new PollRequest { Descriptor = 0, Events = Readable };
        return Poll(ref ask, 1, PollMilliseconds) <= 0 ? 0 : (int)ReadFrom(0, buffer, buffer.Length) is > 0 and var count ? count : -1;
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= Restore;
        Restore(null, EventArgs.Empty);
    }

    private void Restore(object? sender, EventArgs e)
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
            _ = SetSettings(0, Now, _before);
    }

    private struct WindowSize
    {
        public ushort Rows;
        public ushort Columns;
        public ushort Width;
        public ushort Height;
    }

    private struct PollRequest
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsTerminal(int descriptor);

    [LibraryImport("libc", EntryPoint = "tcgetattr", SetLastError = true)]
    private static partial int GetSettings(int descriptor, [Out] byte[] settings);

    [LibraryImport("libc", EntryPoint = "tcsetattr", SetLastError = true)]
    private static partial int SetSettings(int descriptor, int when, byte[] settings);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw([In, Out] byte[] settings);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoControl(int descriptor, nuint request, ref WindowSize size);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref PollRequest request, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint ReadFrom(int descriptor, Span<byte> buffer, nint count);
}
