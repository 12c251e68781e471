using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Caisson.Sandboxes;

/// <summary>
/// Runs a program of the host with a hard time limit and a bounded output: tools hang, and some hang for ever. At the
/// limit its whole process tree is killed.
/// </summary>
internal static class OutsideProgram
{
    public static async Task<ProgramOutcome> RunAsync(
        string path, IReadOnlyList<string> arguments, TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        using var process = new Process { StartInfo = Describe(path, arguments) };
        try
        {
            process.Start();
        }
        catch (Win32Exception e)
        {
            return new ProgramOutcome(null, $"{path}: {e.Message}");
        }

        process.StandardInput.Close();
        using var timer = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellationToken);
        var output = BoundedText.ReadAsync(process.StandardOutput);
        var error = BoundedText.ReadAsync(process.StandardError);
        try
        {
            await process.WaitForExitAsync(either.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
            cancellationToken.ThrowIfCancellationRequested();
            return new ProgramOutcome(null, $"{path} was killed after {limit}");
        }

        return new ProgramOutcome(process.ExitCode, $"{(await output).Text}{(await error).Text}");
    }

    /// <summary>Nothing of the server's environment goes to a program: it may hold secrets.</summary>
    public static ProcessStartInfo Describe(string path, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(path, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin";
        return start;
    }
}

/// <param name="ExitCode"><c>null</c> where it did not start or did not end in time.</param>
internal sealed record ProgramOutcome(int? ExitCode, string Output);

/// <summary>The first bytes of a stream; the rest is read and dropped, so that the writer is never blocked.</summary>
internal sealed class BoundedText
{
    private const int Limit = 32 << 10;
    private readonly StringBuilder _text = new();

    public string Text
    {
        get
        {
            lock (_text)
                return _text.ToString();
        }
    }

    public static async Task<BoundedText> ReadAsync(TextReader reader)
    {
        var text = new BoundedText();
        await text.FillAsync(reader);
        return text;
    }

    public async Task FillAsync(TextReader reader)
    {
        var buffer = new char[4096];
        try
        {
            for (int n; (n = await reader.ReadAsync(buffer)) > 0;)
                lock (_text)
                    _text.Append(buffer, 0, Math.Min(n, Limit - Math.Min(Limit, _text.Length)));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The process was disposed of while its output was read.
        }
    }
}
