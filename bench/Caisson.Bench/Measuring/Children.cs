using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Caisson.Bench.Measuring;

/// <summary>The processes that this program started. None outlives it: each is ended by its id, also on an interrupt.</summary>
internal static class Children
{
    private static readonly Lock Gate = new();
    private static readonly List<Process> Running = [];
    private static bool _ending;

    /// <summary>Ends all children when this process is told to end.</summary>
    internal static IDisposable EndOnInterrupt()
    {
        var registrations = new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(signal => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            EndAll();
            Scratch.DeleteAll();
            Environment.Exit(130);
        })).ToList();
        return new Registrations(registrations);
    }

    internal static Process Start(ProcessStartInfo start)
    {
        lock (Gate)
        {
            if (_ending)
                throw new InvalidOperationException("the program ends");
            var process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start");
            Running.Add(process);
            return process;
        }
    }

    /// <summary>Ends one with SIGKILL and waits for it.</summary>
    internal static async Task EndAsync(Process process)
    {
        if (!process.HasExited)
            process.Kill();
        await process.WaitForExitAsync();
        Forget(process);
    }

    internal static void Forget(Process process)
    {
        lock (Gate)
            Running.Remove(process);
        process.Dispose();
    }

    /// <summary>This program again, as another process.</summary>
    internal static ProcessStartInfo Self(IEnumerable<string> arguments)
    {
        var program = Environment.ProcessPath!;
        IEnumerable<string> all = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [typeof(Children).Assembly.Location, .. arguments] : arguments;
        return new ProcessStartInfo(program, all) { RedirectStandardOutput = true };
    }

    /// <summary>Runs this program as another process and returns the last line that it printed.</summary>
    internal static async Task<string> AnswerAsync(IEnumerable<string> arguments)
    {
        var child = Start(Self(arguments));
        var text = await child.StandardOutput.ReadToEndAsync();
        await child.WaitForExitAsync();
        var code = child.ExitCode;
        Forget(child);
        return code == 0 ? text.TrimEnd().Split('\n')[^1] : throw new InvalidOperationException($"the child ended with exit code {code}");
    }

    private static void EndAll()
    {
        lock (Gate)
        {
            _ending = true;
            foreach (var process in Running)
            {
                if (!process.HasExited)
                    process.Kill();
                process.WaitForExit();
            }
        }
    }

    private sealed class Registrations(List<PosixSignalRegistration> registrations) : IDisposable
    {
        public void Dispose() => registrations.ForEach(registration => registration.Dispose());
    }
}
