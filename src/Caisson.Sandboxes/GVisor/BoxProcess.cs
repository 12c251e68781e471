using System.Diagnostics;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.GVisor;

/// <summary>
/// The launcher of one box on the host (guest/launch.c). It lives as long as the box does, and it ends the box when the
/// pipe to it closes, by <see cref="End"/> or by the death of this process.
/// </summary>
internal sealed class BoxProcess : IDisposable
{
    private readonly Process _process;
    private readonly BoundedText _errors = new();

    private BoxProcess(Process process)
    {
        _process = process;
        Exited = process.WaitForExitAsync();
        _ = _errors.FillAsync(process.StandardError);
        _ = new BoundedText().FillAsync(process.StandardOutput);
    }

    public int Id => _process.Id;

    public Task Exited { get; }

    /// <summary>What the launcher, runsc and the guest agent said, for a failure's message.</summary>
    public string Errors => _errors.Text.Trim();

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
