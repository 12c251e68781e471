using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson schedule put | list | get | pause | resume | trigger | rm</c>.</summary>
internal static class ScheduleCommands
{
    internal static Command Create(Shell shell)
    {
        var command = new Command("schedule", "Start runs at given times");
        foreach (var create in new Func<Shell, Command>[] { SchedulePutCommand.Create, List, Get, Pause, Resume, Trigger, Remove })
            command.Subcommands.Add(create(shell));
        return command;
    }

    internal static Argument<string> NameArgument() => new("NAME") { Description = "The schedule's name" };

    private static Command List(Shell shell)
    {
        var command = new Command("list", "List schedules by name");
        shell.Bind(command, async context =>
        {
            var list = await context.Client.ListSchedulesAsync(context.Interrupted);
            switch (context.Format)
            {
                case OutputFormat.Json:
                    context.Json(list, ScheduleJson.Default.ScheduleList);
                    break;
                case OutputFormat.Jsonl:
                    foreach (var schedule in list.Items)
                        context.Json(schedule, ScheduleJson.Default.ScheduleView);
                    break;
                default:
                    ScheduleText.Draw(context, list.Items);
                    break;
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Get(Shell shell) => Bind(shell, "get", "Show a schedule and its next times", async (context, name) =>
    {
        var schedule = await context.Client.GetScheduleAsync(name, context.Interrupted);
        if (context.IsJson)
            context.Json(schedule, ScheduleJson.Default.ScheduleView);
        else
            context.Table.Pairs(ScheduleText.Describe(schedule));
    });

    private static Command Pause(Shell shell) => Bind(shell, "pause", "Start nothing until it is resumed", async (context, name) =>
        ScheduleText.Report(context, await context.Client.PauseScheduleAsync(name, context.Interrupted)));

    private static Command Resume(Shell shell) => Bind(shell, "resume", "Go on, from now", async (context, name) =>
        ScheduleText.Report(context, await context.Client.ResumeScheduleAsync(name, context.Interrupted)));

    private static Command Trigger(Shell shell) => Bind(shell, "trigger", "Start a run of it now", async (context, name) =>
    {
        // With a key of our own a request whose answer was lost can be sent again without starting a second run.
        var key = context.Get(RunCommand.Key) ?? context.Shell.Ids.NextRandom().ToString("N", CultureInfo.InvariantCulture);
        var (run, existing) = await TriggerAsync(context, name, key);
        if (existing && context.Get(RunCommand.Key) is not null)
            context.Progress($"run {run.Id} exists already under this idempotency key");
        if (context.IsJson)
            context.Json(run, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLineNow(run.Id);
    }, RunCommand.Key);

    private static Command Remove(Shell shell) => Bind(shell, "rm", "Remove a schedule; its runs go on", async (context, name) =>
    {
        await context.Client.RemoveScheduleAsync(name, context.Interrupted);
        if (!context.IsJson)
            context.Terminal.WriteLine($"{name} is removed");
    });

    private static async Task<(RunView Run, bool Existing)> TriggerAsync(CommandContext context, string name, string key)
    {
        try
        {
            return await context.Client.TriggerScheduleAsync(name, key, context.Interrupted);
        }
        catch (ServerUnreachableException e) when (!e.NeverConnected)
        {
            context.Progress("caisson: the server went away before it answered; asking again");
            return await context.Client.RetryAsync(token => context.Client.TriggerScheduleAsync(name, key, token), CaissonClient.DefaultPatience, context.Interrupted);
        }
    }

    private static Command Bind(Shell shell, string verb, string description, Func<CommandContext, string, Task> act, params ReadOnlySpan<Option> options)
    {
        var name = NameArgument();
        var command = new Command(verb, description) { name };
        foreach (var option in options)
            command.Options.Add(option);
        shell.Bind(command, async context =>
        {
            await act(context, context.Get(name));
            return ExitCodes.Ok;
        });
        return command;
    }
}
