using System.CommandLine;
using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson schedule put NAME AGENT.yaml --cron … | --every …</c>: creates a schedule or replaces it.</summary>
internal static class SchedulePutCommand
{
    private static readonly Argument<string> Name = ScheduleCommands.NameArgument();
    private static readonly Argument<string> Agent = new("AGENT.yaml") { Description = "The agent's manifest" };
    private static readonly Option<string?> Cron = new("--cron") { Description = "Five fields, or six with seconds first ('0 9 * * 1-5')", HelpName = "CRON" };
    private static readonly Option<string?> Every = new("--every") { Description = "A fixed distance (30s, 15m, 1d), in place of --cron", HelpName = "TIME" };
    private static readonly Option<string?> Zone = new("--time-zone") { Description = "IANA name for --cron (default: UTC)", HelpName = "ZONE" };
    private static readonly Option<string?> Overlap = new("--overlap") { Description = "While the run before lives: skip (default), queue, cancel_old, allow", HelpName = "POLICY" };
    private static readonly Option<string?> CatchUp = new("--catch-up") { Description = "How late a time may still start its run (default: 1m)", HelpName = "TIME" };
    private static readonly Option<string?> Jitter = new("--jitter") { Description = "Start up to this much later, the same for the same time (default: none)", HelpName = "TIME" };
    private static readonly Option<string?> Start = new("--start") { Description = "No time before it (2026-12-01T08:00:00+01:00; without an offset UTC)", HelpName = "MOMENT" };
    private static readonly Option<string?> End = new("--end") { Description = "No time after it", HelpName = "MOMENT" };
    private static readonly Option<bool?> Paused = new("--paused") { Description = "Pause it (true) or resume it (false); default: as it was", HelpName = "BOOL" };

    internal static Command Create(Shell shell)
    {
        var limits = new LimitOptions();
        var command = new Command("put", "Create or replace a schedule") { Name, Agent, Cron, Every, Zone, Overlap, CatchUp, Jitter, Start, End, Paused, RunCommand.Input, RunCommand.Labels };
        limits.AddTo(command);
        shell.Bind(command, async context =>
        {
            var file = context.Get(Agent);
            var spec = new ScheduleSpec(
                await InputText.ReadFileAsync(file, "AGENT.yaml", NewRuns.MaxManifestBytes, context.Interrupted),
                Path.GetFileName(file),
                await InputText.ReadAsync(context.Get(RunCommand.Input), "--input", NewRuns.MaxInputBytes, context.Interrupted) ?? "",
                limits.Read(context),
                RunCommand.ReadLabels(context),
                context.Get(Cron), context.Get(Every), context.Get(Zone), context.Get(Overlap), context.Get(CatchUp), context.Get(Jitter),
                Moment(context, Start), Moment(context, End), context.Get(Paused));
            var (schedule, _) = await context.Client.PutScheduleAsync(context.Get(Name), spec, context.Interrupted);
            ScheduleText.Report(context, schedule);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static DateTimeOffset? Moment(CommandContext context, Option<string?> option)
    {
        if (context.Get(option) is not { } text)
            return null;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
            ? moment
            : throw CommandFailure.Usage($"{option.Name}: found '{text}', allowed is a date or a moment as 2026-12-01T08:00:00+01:00");
    }
}
