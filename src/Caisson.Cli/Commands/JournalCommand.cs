using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson journal RUN</c>: the record itself.</summary>
internal static class JournalCommand
{
    private static readonly Argument<string?> Run = new("RUN") { Description = "Id of the run, or the beginning of it", Arity = ArgumentArity.ZeroOrOne };
    private static readonly Option<bool> Payloads = new("--payloads") { Description = "The results of steps too" };
    private static readonly Option<bool> Verify = new("--verify") { Description = "Look for damage instead; one line for each finding" };
    private static readonly Option<bool> All = new("--all") { Description = "With --verify: the journals of all runs" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("journal", "Show a run's append-only record") { Run, Payloads, Verify, All };
        shell.Bind(command, ReadAsync);
        return command;
    }

    private static Task<int> ReadAsync(CommandContext context) => (context.Parse.GetValue(Run), context.Get(Verify), context.Get(All)) switch
    {
        (null, true, true) => VerifyReport.WriteAsync(context, null),
        ({ } run, true, false) => VerifyReport.WriteAsync(context, run),
        ({ } run, false, false) => ShowAsync(context, run),
        (_, false, true) => throw CommandFailure.Usage("--all: allowed with --verify"),
        (not null, true, true) => throw CommandFailure.Usage("--all: give it or a RUN, not both"),
        _ => throw CommandFailure.Usage("RUN is missing: 'caisson ps --all' lists runs"),
    };

    private static async Task<int> ShowAsync(CommandContext context, string run)
    {
        var all = new List<JournalEntryView>();
        var first = true;
        await foreach (var entry in context.Client.ReadJournalAsync(run, 0, context.Get(Payloads), context.Interrupted))
        {
            switch (context.Format)
            {
                case OutputFormat.Json:
                    all.Add(entry);
                    break;
                case OutputFormat.Jsonl:
                    context.Json(entry, ApiJson.Default.JournalEntryView);
                    break;
                default:
                    if (first)
                        context.Terminal.WriteLine($"{"SEQ",5} {"EPOCH",5} {"TIME",-12} {"KIND",-16} {"KEY",-10} {"TRY",3} {"RESULT",9}  BODY");
                    first = false;
                    context.Terminal.WriteLine(Row(entry, context.Format == OutputFormat.Wide));
                    if (entry.Result is { } result)
                        context.Terminal.WriteLine("      = " + PlainText.Line(result.GetRawText()));
                    break;
            }
        }

        if (context.Format == OutputFormat.Json)
            context.Json(new JournalPage(all, null), ApiJson.Default.JournalPage);
        return ExitCodes.Ok;
    }

    private static string Row(JournalEntryView entry, bool wide)
    {
        var body = entry.Body.GetRawText();
        var size = entry.ResultBytes == 0 ? "" : Format.Bytes(entry.ResultBytes);
        var key = entry.Key is { } hash ? hash[..Math.Min(10, hash.Length)] : "";
        return string.Create(CultureInfo.InvariantCulture,
            $"{entry.Seq,5} {entry.Epoch,5} {Format.Time(entry.At),-12} {entry.Kind,-16} {PlainText.Line(key),-10} {entry.Attempt,3} {size,9}  {(wide ? PlainText.Line(body) : PlainText.Line(body, 160))}");
    }
}
