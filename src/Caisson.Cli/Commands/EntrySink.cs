using Caisson.Cli.Traces;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary>Shows entries as they come: step lines as progress, or the entries themselves as JSON lines.</summary>
internal static class EntrySink
{
    internal static Action<JournalEntryView> Create(CommandContext context)
    {
        if (context.Format == OutputFormat.Jsonl)
            return entry => context.Json(entry, ApiJson.Default.JournalEntryView);
        return entry =>
        {
            if (StepLines.Of(entry) is { } line)
                context.Progress(line);
        };
    }
}
