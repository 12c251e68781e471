using System.CommandLine;
using System.Globalization;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson kill-switch on | off | list</c>: stops an agent, a tenant or everything at once.</summary>
internal static class KillSwitchCommands
{
    private static readonly Option<string?> Agent = new("--agent") { Description = "Runs of this agent, in every tenant", HelpName = "NAME" };
    private static readonly Option<string?> Tenant = new("--tenant") { Description = "Runs of this tenant", HelpName = "NAME" };
    private static readonly Option<bool> All = new("--all") { Description = "Everything" };

    internal static Command Create(Shell shell) => new("kill-switch", "Stop an agent, a tenant or everything at once") { On(shell), Off(shell), List(shell) };

    private static Command On(Shell shell)
    {
        var reason = new Option<string?>("--reason") { Description = "Why; those who meet the stop read it", HelpName = "TEXT" };
        var by = ByOption.Create();
        var command = new Command("on", "Stop: nothing is bought, no byte leaves, boxes go") { Agent, Tenant, All, reason, by };
        shell.Bind(command, async context =>
        {
            var target = Target(context);
            var view = await context.Client.SetKillSwitchAsync(target, new KillRequest(context.Get(reason), context.Get(by)), context.Interrupted);
            Report(context, view, $"{target} is stopped; its runs pause, and a call that is under way ends first");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Off(Shell shell)
    {
        var resume = new Option<bool>("--resume") { Description = "Let the runs go on that it paused; without it each waits for 'caisson resume'" };
        var by = ByOption.Create();
        var command = new Command("off", "Lift a stop") { Agent, Tenant, All, resume, by };
        shell.Bind(command, async context =>
        {
            var target = Target(context);
            var view = await context.Client.LiftKillSwitchAsync(target, context.Get(resume), context.Get(by), context.Interrupted);
            Report(context, view, $"{target} {(view.Changed ? "is not stopped any more" : "was not stopped")}{(context.Get(resume) ? $"; {view.Resumed} runs go on" : "")}");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command List(Shell shell)
    {
        var command = new Command("list", "Show what is stopped");
        shell.Bind(command, async context =>
        {
            var view = await context.Client.ListKillSwitchesAsync(context.Interrupted);
            if (context.IsJson)
                context.Json(view, OperationsJson.Default.KillSwitchView);
            else if (view.Items.Count == 0)
                context.Progress("nothing is stopped");
            else
                context.Table.Rows(["STOPPED", "BY", "SINCE", "REASON"], view.Items.Select(order => new[] { order.Target, order.By, order.At.ToString("u", CultureInfo.InvariantCulture), order.Reason ?? "" }));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void Report(CommandContext context, KillSwitchView view, string text)
    {
        if (context.IsJson)
            context.Json(view, OperationsJson.Default.KillSwitchView);
        else
            context.Terminal.WriteLine(text);
    }

    private static string Target(CommandContext context)
    {
        string?[] given = [context.Get(Agent) is { } agent ? "agent:" + agent : null, context.Get(Tenant) is { } tenant ? "tenant:" + tenant : null, context.Get(All) ? "all" : null];
        return given.OfType<string>().ToList() is [var one] ? one : throw CommandFailure.Usage("give one of --agent NAME, --tenant NAME and --all");
    }
}
