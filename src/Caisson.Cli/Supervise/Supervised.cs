using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Cli.Supervise;

/// <summary>
/// The server's side of the supervision. It dies with its supervisor, and it writes a byte every half second: from a
/// thread of its own, so that a busy process still shows life, but only when the thread pool ran a work item since the
/// last byte, because a server whose pool is stuck serves nobody.
/// </summary>
internal static class Supervised
{
    /// <summary>Heartbeat descriptor, listening descriptor, the supervisor's pid and the number of this start, set by the supervisor only.</summary>
    internal const string Variable = "CAISSON_SUPERVISED";

    internal const byte BeatByte = (byte)'.';
    internal const byte ReadyByte = (byte)'r';

    internal static readonly TimeSpan BeatEvery = TimeSpan.FromMilliseconds(500);

    private static FileStream? _pipe;

    /// <summary>Takes up the supervision if there is one. Answers the socket to serve on, and how many servers there were before.</summary>
    internal static (int? Listen, int Restarts) Begin()
    {
        var text = Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(text))
            return (null, 0);
        Environment.SetEnvironmentVariable(Variable, null);
        var parts = text.Split(',').Select(p => int.Parse(p, CultureInfo.InvariantCulture)).ToArray();
        var (beat, listen, supervisor, restarts) = (parts[0], parts[1], parts[2], parts[3]);

        // A supervisor that died before this line will never signal: its death shows as another parent.
        if (!Posix.DieWithParent() || Posix.ParentId() != supervisor)
            Environment.Exit(ExitCodes.Restart);
        Posix.LeaveGroup();
        Posix.SetInherited(beat, false);
        Posix.SetInherited(listen, false);
        var pipe = _pipe = new FileStream(new SafeFileHandle(beat, ownsHandle: true), FileAccess.Write, bufferSize: 0);
        var thread = new Thread(() => Beat(pipe)) { IsBackground = true, Name = "heartbeat" };
        thread.Start();
        return (listen, restarts);
    }

    /// <summary>Tells the supervisor, if there is one, that this server serves.</summary>
    internal static void Ready() => _pipe?.WriteByte(ReadyByte);

    private static void Beat(FileStream output)
    {
        using var pause = new ManualResetEvent(false);
        var asked = 0;
        var ran = 0;
        while (true)
        {
            try
            {
                if (Volatile.Read(ref ran) == asked)
                {
                    output.WriteByte(BeatByte);
                    var next = ++asked;
                    ThreadPool.UnsafeQueueUserWorkItem(_ => Volatile.Write(ref ran, next), null);
                }
            }
            catch (IOException)
            {
                // The supervisor is gone and the kernel is about to end us.
                return;
            }

            pause.WaitOne(BeatEvery);
        }
    }
}
