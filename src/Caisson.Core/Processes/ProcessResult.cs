using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Processes;

/// <summary>What is recorded of a program that ended by itself.</summary>
/// <param name="Output">Standard output, with a mark where its middle was cut.</param>
/// <param name="Error">Standard error, likewise.</param>
internal sealed record ProcessResult(int ExitCode, string Output, long OutputBytes, string Error, long ErrorBytes)
{
    private static readonly JsonSerializerOptions Compact = new(ProcessJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static ProcessResult Of(ExecOutcome.Exited exited) =>
        new(exited.ExitCode, Text(exited.Output), exited.Output.TotalBytes, Text(exited.Error), exited.Error.TotalBytes);

    internal static ProcessResult? Read(ReadOnlySpan<byte> json) => json.IsEmpty ? null : JsonSerializer.Deserialize(json, ProcessJson.Default.ProcessResult);

    internal byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, Compact.GetTypeInfo(typeof(ProcessResult)));

    /// <summary>Its last words, for one line.</summary>
    internal string LastLine()
    {
        var lines = (Error.Length > 0 ? Error : Output).TrimEnd().Split('\n');
        return lines[^1].Length <= 300 ? lines[^1] : lines[^1][..300] + "…";
    }

    private static string Text(BoundedOutput output)
    {
        var text = new StringBuilder(Encoding.UTF8.GetString(output.Head.Span));
        if (output.CutBytes > 0)
            text.Append(CultureInfo.InvariantCulture, $"\n[… {output.CutBytes} bytes cut …]\n").Append(Encoding.UTF8.GetString(output.Tail.Span));
        return text.ToString();
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(ProcessResult))]
internal sealed partial class ProcessJson : JsonSerializerContext;
