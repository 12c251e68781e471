using System.Text;
using Caisson.Contracts;

namespace Caisson.Cli.Output;

/// <summary>Where a command writes: data to stdout, progress to stderr.</summary>
internal sealed class Terminal : IDisposable
{
    private readonly Stream _rawOut;

    internal Terminal(Stream output, TextWriter error, bool outIsTerminal, bool errorIsTerminal)
    {
        _rawOut = output;
        Out = new StreamWriter(output, new UTF8Encoding(false), 16 * 1024) { NewLine = "\n" };
        Error = error;
        OutIsTerminal = outIsTerminal;
        ErrorIsTerminal = errorIsTerminal;
    }

    internal TextWriter Out { get; }

    internal TextWriter Error { get; }

    internal bool OutIsTerminal { get; }

    internal bool ErrorIsTerminal { get; }

    internal static Terminal OfProcess() =>
        new(StdoutStream.Open(), Console.Error, !Console.IsOutputRedirected, !Console.IsErrorRedirected);

    internal void WriteLine(string line) => Out.WriteLine(line);

    /// <summary>A line that a reader waits for.</summary>
    internal void WriteLineNow(string line)
    {
        Out.WriteLine(line);
        Out.Flush();
    }

    /// <summary>Text that is not ours: as it is into a file or pipe, harmless onto a terminal.</summary>
    internal void WriteForeign(string text)
    {
        if (!OutIsTerminal)
        {
            Out.WriteLine(text);
            return;
        }

        foreach (var line in PlainText.Lines(text))
            Out.WriteLine(line);
    }

    internal void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        Out.Flush();
        _rawOut.Write(bytes);
    }

    internal void Flush() => Out.Flush();

    /// <summary>An error: one line on stderr, or for programs a problem document on stdout.</summary>
    internal int Fail(OutputFormat format, int exit, Problem problem)
    {
        if (format is OutputFormat.Json or OutputFormat.Jsonl)
            WriteLine(JsonOut.Text(problem, ApiJson.Default.Problem, format == OutputFormat.Json));
        else
            Error.WriteLine($"caisson: {PlainText.Line(problem.Detail)}");
        Flush();
        return exit;
    }

    public void Dispose() => _rawOut.Dispose();
}
