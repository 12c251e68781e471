using System.Diagnostics;

namespace Caisson.System.Tests.Harness;

/// <summary>The built command, as users start it.</summary>
internal static class CaissonProgram
{
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    internal static readonly string Path = global::System.IO.Path.Combine(AppContext.BaseDirectory, "caisson");

    /// <summary>Runs a command to its end.</summary>
    internal static async Task<Answer> RunAsync(IReadOnlyList<string> arguments, string? input = null, string? directory = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        using var process = Start(arguments, directory, environment);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Patience, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"caisson {string.Join(' ', arguments)} did not end within {Patience}; stdout: {await output}; stderr: {await error}");
        }

        return new Answer(process.ExitCode, await output, await error);
    }

    internal static Process Start(IReadOnlyList<string> arguments, string? directory = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(Path, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? global::System.IO.Path.GetTempPath(),
        };
        // What the person who runs the tests has set must not steer them.
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("CAISSON", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        return Process.Start(start) ?? throw new InvalidOperationException("caisson did not start");
    }
}

internal sealed record Answer(int Exit, string Out, string Error)
{
    /// <summary>The one line that an error is.</summary>
    internal string ErrorLine => Assert.Single(Error.TrimEnd('\n').Split('\n'));
}
