using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Server.Diagnosis;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson doctor</c>: what this machine lacks, and what to do about it.</summary>
internal static class DoctorCommand
{
    private static readonly ServerFlags Flags = new();
    private static readonly Option<bool> AsJson = new("--json") { Description = "The same as -o json" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("doctor", "Check this machine") { AsJson };
        Flags.AddTo(command, supervise: false);
        shell.Bind(command, CheckAsync);
        return command;
    }

    private static async Task<int> CheckAsync(CommandContext context)
    {
        var options = Flags.Read(context, null);
        var json = context.IsJson || context.Get(AsJson);
        if (!json)
            context.Progress("caisson: checking; a box is really started");
        var report = await new Doctor(options, context.Shell.Clock, context.Shell.Ids).ExamineAsync(context.Interrupted);
        if (json)
            context.Terminal.WriteLineNow(JsonOut.Text(report, CliJson.Default.DoctorReport, context.Format != OutputFormat.Jsonl));
        else
            Draw(context, report);
        return report.Findings.Any(f => f.Level == "fail") ? ExitCodes.Findings : ExitCodes.Ok;
    }

    private static void Draw(CommandContext context, DoctorReport report)
    {
        context.Table.Rows(["LEVEL", "CHECK", "FOUND"], report.Findings.Select(f => new[] { f.Level, f.Check, f.Detail }));
        foreach (var finding in report.Findings.Where(f => f.Remedy is not null))
            context.Terminal.WriteLine($"{finding.Level,-4}  {finding.Check}: {PlainText.Line(finding.Remedy!)}");
    }
}
