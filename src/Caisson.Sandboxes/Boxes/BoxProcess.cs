using System.Diagnostics;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// The launcher of one box on the host (guest/launch.c). It lives as long as the box does, and it ends the box when the
/// pipe to it closes, by <see cref="End"/> or by the death of this process.
/// </summary>
internal sealed class BoxProcess : IDisposable
{
    private readonly Process _process;
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(1);

    private readonly BoundedText _errors = new();
    private readonly Task _reading;

    private BoxProcess(Process process)
    {
        _process = process;
        Exited = process.WaitForExitAsync();
        _reading = _errors.FillAsync(process.StandardError);
        _ = new BoundedText().FillAsync(process.StandardOutput);
    }

    public int Id => _process.Id;

    public Task Exited { get; }

    /// <summary>What the launcher, runsc and the guest agent said, for a failure's message.</summary>
    public string Errors => _errors.Text.Trim();

    /// <summary>
    /// After the exit: what it said, to the end. Within a limit, because a process of the box may outlive the launcher
    /// for a moment and keep the pipe open.
    /// </summary>
    public async Task<string> LastWordsAsync(TimeProvider time)
    {
        await _reading.WaitAsync(LastWords, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return Errors;
    }

    public int? ExitCode => Exited.IsCompleted ? _process.ExitCode : null;

    public static BoxProcess Start(string launcher, IReadOnlyList<string> arguments)
    {
        var process = new Process { StartInfo = OutsideProgram.Describe(launcher, arguments) };
        process.Start();
        return new BoxProcess(process);
    }

    public async Task End(TimeSpan limit, TimeProvider time)
    {
        _process.StandardInput.Close();
        try
        {
            await Exited.WaitAsync(limit, time);
        }
        catch (TimeoutException)
        {
            // Then by force; what is left of the box is in its cgroup, and the caller ends that.
            Libc.Kill(Id);
            await Exited;
        }
    }

    public void Dispose() => _process.Dispose();
}
