using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using Caisson.Cli.Output;

namespace Caisson.Cli.Supervise;

/// <summary>
/// Keeps one server running.
/// <para>
/// Problem: a server that crashes or hangs must be back within a second, without anybody's help and on the same port.
/// The server is a child of this process; it beats on a pipe. It ends → it is started again at once; it is silent for
/// three seconds → it is killed and started again; it ends with 0, or because it was called wrongly or configured
/// wrongly → so does the supervisor. When the supervisor dies, the kernel kills the server (parent-death signal), so
/// no server is ever without one. Deaths in quick succession are slowed down (<see cref="CrashLoop"/>).
/// </para>
/// </summary>
/// <param name="command">Program and arguments of the server.</param>
internal sealed class Supervisor(IReadOnlyList<string> command, ListenSocket socket, Terminal terminal, TimeProvider clock) : IDisposable
{
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(3);

    // Until its first beat a server loads its code, on a machine that may be busy.
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(200);

    private readonly CrashLoop _crashes = new();
    private readonly ManualResetEvent _stop = new(false);
    private int _child;

    /// <summary>Runs on a thread of its own that lives as long as the supervisor: the kernel ties the child's life to the thread that started it.</summary>
    internal Task<int> RunAsync()
    {
        var done = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                done.SetResult(Run());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { Name = "supervisor" };
        thread.Start();
        return done.Task;
    }

    /// <summary>Passes a signal on; the server drains at the first and ends at the second.</summary>
    internal void Signal(PosixSignal signal)
    {
        _ = signal;
        _stop.Set();
        if (Volatile.Read(ref _child) is > 0 and var pid)
            Posix.Kill(pid, Posix.SigTerm);
    }

    private int Run()
    {
        for (var restarts = 0; ; restarts++)
        {
            var started = clock.GetTimestamp();
            var (exit, silent, ready) = RunOnce(restarts);
            if (_stop.WaitOne(0))
                return exit > 128 && exit != ExitCodes.Interrupted ? ExitCodes.Ok : exit;
            if (exit is ExitCodes.Ok or ExitCodes.Usage or ExitCodes.Config)
                return exit;

            var lived = clock.GetElapsedTime(started);
            var pause = _crashes.Died(lived, ready && !silent && exit == 128 + Posix.SigKill);
            Say($"the server {Death(exit, silent)} after {Format.Duration(lived)}; restart {restarts + 1}"
                + (pause > TimeSpan.Zero ? $" in {Format.Duration(pause)}, because it keeps dying" : ""));
            if (_stop.WaitOne(pause))
                return ExitCodes.Ok;
        }
    }

    /// <summary>One life of the server: how it ended, whether that was our doing, and whether it ever served.</summary>
    private (int Exit, bool Silent, bool Ready) RunOnce(int restarts)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.Inheritable);
        using var child = Start(pipe, restarts);
        Volatile.Write(ref _child, child.Id);
        if (_stop.WaitOne(0))
            Posix.Kill(child.Id, Posix.SigTerm);
        var life = new Life(clock.GetTimestamp());
        var listener = new Thread(() => Listen(pipe, life)) { IsBackground = true, Name = "heartbeat" };
        listener.Start();

        var silent = false;
        while (!child.WaitForExit(Tick))
        {
            var (last, beats) = life.Read();
            if (!silent && clock.GetElapsedTime(last) > (beats == 0 ? StartLimit : SilenceLimit))
            {
                silent = true;
                Posix.Kill(child.Id, Posix.SigKill);
            }
        }

        Volatile.Write(ref _child, 0);
        return (child.ExitCode, silent, life.Ready);
    }

    private Process Start(AnonymousPipeServerStream pipe, int restarts)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1)) { UseShellExecute = false };
        start.Environment[Supervised.Variable] = string.Create(CultureInfo.InvariantCulture, $"{pipe.GetClientHandleAsString()},{socket.Descriptor},{Environment.ProcessId},{restarts}");
        var child = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        pipe.DisposeLocalCopyOfClientHandle();
        return child;
    }

    private void Listen(AnonymousPipeServerStream pipe, Life life)
    {
        var buffer = new byte[64];
        try
        {
            for (int count; (count = pipe.Read(buffer)) > 0;)
                life.Beat(clock.GetTimestamp(), buffer.AsSpan(0, count).Contains(Supervised.ReadyByte));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The server is gone; its exit tells more.
        }
    }

    private static string Death(int exit, bool silent)
    {
        if (silent)
            return $"was silent for {SilenceLimit.TotalSeconds} s and was killed";
        return exit > 128 ? $"was killed by {Posix.SignalName(exit - 128)}" : $"ended with exit code {exit}";
    }

    private void Say(string line) => terminal.Error.WriteLine($"caisson: {line}");

    public void Dispose() => _stop.Dispose();

    /// <summary>When the server last showed life.</summary>
    private sealed class Life(long started)
    {
        private long _last = started;
        private long _beats;

        internal bool Ready { get; private set; }

        internal void Beat(long at, bool ready)
        {
            Ready |= ready;
            Interlocked.Exchange(ref _last, at);
            Interlocked.Increment(ref _beats);
        }

        internal (long Last, long Beats) Read() => (Interlocked.Read(ref _last), Interlocked.Read(ref _beats));
    }
}
