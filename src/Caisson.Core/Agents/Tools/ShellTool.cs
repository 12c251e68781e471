using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents.Tools;

/// <summary>Runs a command line with <c>sh</c> in the box. Whatever it does stays in there.</summary>
/// <param name="network">What the model should know of it.</param>
internal sealed class ShellTool(string network = ShellTool.NoNetwork) : ITool
{
    internal const string NoNetwork = "There is no network. ";

    private const int DefaultSeconds = 120;
    private const int MostSeconds = 600;
    private const int MaxOutputBytes = 32 << 10;

    public ToolDefinition Definition { get; } = new(
        "shell",
        "Runs a command line with sh in the workspace of an isolated Linux box. " + network
        + "Processes that it leaves behind are ended when it returns. Long output is cut in the middle.",
        """{"type":"object","properties":{"command":{"type":"string"},"timeout_s":{"type":"integer","minimum":1,"maximum":600}},"required":["command"],"additionalProperties":false}""");

    public (ToolEffect Effect, string? Problem) Inspect(JsonElement arguments)
    {
        if (!arguments.TryGetProperty("command", out var command) || command.ValueKind != JsonValueKind.String)
            return (ToolEffect.Writes, "'command' must be a string");
        if (arguments.TryGetProperty("timeout_s", out var timeout) && !(timeout.TryGetInt32Strict(out var seconds) && seconds is >= 1 and <= MostSeconds))
            return (ToolEffect.Writes, $"'timeout_s' must be a whole number from 1 to {MostSeconds}");
        return (ToolEffect.Writes, null);
    }

    public async Task<ToolOutcome> RunAsync(JsonElement arguments, ISandbox box, IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken)
    {
        var seconds = arguments.TryGetProperty("timeout_s", out var given) ? given.GetInt32() : DefaultSeconds;
        var request = new ExecRequest(["/bin/sh", "-c", arguments.GetProperty("command").GetString()!], null, environment,
            ReadOnlyMemory<byte>.Empty, TimeSpan.FromSeconds(seconds), MaxOutputBytes);
        return await box.ExecAsync(request, cancellationToken) switch
        {
            ExecOutcome.Exited exited => new ToolOutcome.Answered(Compose($"exit code {exited.ExitCode}", exited.Output, exited.Error)),
            ExecOutcome.TimedOut late => new ToolOutcome.Answered(
                Compose($"killed after {seconds} s", late.Output, late.Error),
                new Failure(ErrorCodes.StepTimeout, $"the command was killed at its time limit of {seconds} s")),
            ExecOutcome.NotStarted refused => new ToolOutcome.Answered(refused.Failure.Message, refused.Failure),
            ExecOutcome.Lost lost => new ToolOutcome.BoxLost(lost.Failure),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    private static string Compose(string status, BoundedOutput output, BoundedOutput error)
    {
        var text = new StringBuilder();
        text.Append('[').Append(status).Append("]\n");
        Append(text, output);
        if (error.TotalBytes > 0)
        {
            if (text[^1] != '\n')
                text.Append('\n');
            text.Append("[stderr]\n");
            Append(text, error);
        }

        return text.ToString();
    }

    private static void Append(StringBuilder text, BoundedOutput output)
    {
        text.Append(Encoding.UTF8.GetString(output.Head.Span));
        if (output.CutBytes > 0)
            text.Append("\n[… ").Append(output.CutBytes).Append(" bytes cut …]\n");
        text.Append(Encoding.UTF8.GetString(output.Tail.Span));
    }
}

internal static class JsonArguments
{
    internal static bool TryGetInt32Strict(this JsonElement element, out int value)
    {
        value = 0;
        return element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out value);
    }

    internal static string? TextOrNull(this JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
