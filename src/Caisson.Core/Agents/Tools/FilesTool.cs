using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents.Tools;

/// <summary>Reads, writes and lists files of the workspace, through the box: the host never opens a path that a model wrote.</summary>
internal sealed class FilesTool : ITool
{
    private const int MaxReadBytes = 64 << 10;
    private const int MaxWriteBytes = 4 << 20;
    private const int MaxPathBytes = 4096;
    private const int MaxEntries = 500;

    public ToolDefinition Definition { get; } = new(
        "files",
        "Reads, writes and lists files of the workspace. Paths are relative to it. Reads show at most 64 KiB.",
        """{"type":"object","properties":{"op":{"type":"string","enum":["read","write","list"]},"path":{"type":"string"},"content":{"type":"string","description":"for write"}},"required":["op","path"],"additionalProperties":false}""");

    public (ToolEffect Effect, string? Problem) Inspect(JsonElement arguments)
    {
        var effect = arguments.TextOrNull("op") == "write" ? ToolEffect.Writes : ToolEffect.Reads;
        var problem = arguments.TextOrNull("op") switch
        {
            not ("read" or "write" or "list") => "'op' must be read, write or list",
            _ when arguments.TextOrNull("path") is not { } path => "'path' must be a string",
            _ when arguments.TextOrNull("path") is { } path && (path.Contains('\0', StringComparison.Ordinal) || Sizes.Utf8(path) > MaxPathBytes) => $"'path' has a NUL or more than {MaxPathBytes} bytes",
            "write" when arguments.TextOrNull("content") is not { } => "'content' must be a string for write",
            "write" when Sizes.Utf8(arguments.TextOrNull("content")!) > MaxWriteBytes => $"'content' has more than {MaxWriteBytes} bytes",
            _ => null,
        };
        return (effect, problem);
    }

    public async Task<ToolOutcome> RunAsync(JsonElement arguments, ISandbox box, IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken)
    {
        var path = arguments.TextOrNull("path")!;
        return arguments.TextOrNull("op") switch
        {
            "read" => await box.ReadFileAsync(path, MaxReadBytes, cancellationToken) switch
            {
                FileReadOutcome.Found found => new ToolOutcome.Answered(Read(found)),
                FileReadOutcome.Refused refused => new ToolOutcome.Answered(refused.Failure.Message, refused.Failure),
                FileReadOutcome.Lost lost => new ToolOutcome.BoxLost(lost.Failure),
                _ => throw new InvalidOperationException("unreachable"),
            },
            "write" => await box.WriteFileAsync(path, Encoding.UTF8.GetBytes(arguments.TextOrNull("content")!), cancellationToken) switch
            {
                FileWriteOutcome.Written => new ToolOutcome.Answered("written"),
                FileWriteOutcome.Refused refused => new ToolOutcome.Answered(refused.Failure.Message, refused.Failure),
                FileWriteOutcome.Lost lost => new ToolOutcome.BoxLost(lost.Failure),
                _ => throw new InvalidOperationException("unreachable"),
            },
            _ => await box.ListFilesAsync(path, MaxEntries, cancellationToken) switch
            {
                FileListOutcome.Listed listed => new ToolOutcome.Answered(List(listed)),
                FileListOutcome.Refused refused => new ToolOutcome.Answered(refused.Failure.Message, refused.Failure),
                FileListOutcome.Lost lost => new ToolOutcome.BoxLost(lost.Failure),
                _ => throw new InvalidOperationException("unreachable"),
            },
        };
    }

    private static string Read(FileReadOutcome.Found found)
    {
        var text = Encoding.UTF8.GetString(found.Content.Span);
        return found.TotalBytes > found.Content.Length ? $"{text}\n[… {found.TotalBytes - found.Content.Length} bytes more …]" : text;
    }

    private static string List(FileListOutcome.Listed listed)
    {
        if (listed.Entries.Count == 0)
            return "[empty]";
        var lines = listed.Entries.Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Kind}\t{e.Size}\t{e.Name}"));
        return string.Join('\n', lines) + (listed.More ? "\n[… more …]" : "");
    }
}
