using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson budget get | set</c>: what a tenant or a run may spend, and what is gone.</summary>
internal static class BudgetCommand
{
    private const string Tenant = "tenant:";

    private static readonly (string Dimension, Option<string?> Option)[] Caps =
    [
        ("usd", new Option<string?>("--usd") { Description = "Most money, in US dollars (0.05); none lifts a tenant's cap", HelpName = "N" }),
        ("tokens", new Option<string?>("--tokens") { Description = "Most tokens, in and out together", HelpName = "N" }),
        ("steps", new Option<string?>("--steps") { Description = "Most steps", HelpName = "N" }),
        ("tool_calls", new Option<string?>("--tool-calls") { Description = "Most tool calls", HelpName = "N" }),
        ("deadline", new Option<string?>("--deadline") { Description = "Of a run: time from its creation (90s, 2h)", HelpName = "TIME" }),
    ];

    internal static Command Create(Shell shell) => new("budget", "Show or set what a tenant or a run may spend") { Get(shell), Set(shell) };

    private static Argument<string> Node() => new("NODE") { Description = "tenant:NAME, or a run" };

    private static Command Get(Shell shell)
    {
        var node = Node();
        var waste = new Option<bool>("--waste") { Description = "Of a run: what crashes left in doubt, call by call" };
        var command = new Command("get", "Show what may be spent and what is gone") { node, waste };
        shell.Bind(command, context => context.Get(waste) ? WasteAsync(context, context.Get(node)) : ShowAsync(context, context.Get(node)));
        return command;
    }

    private static Command Set(Shell shell)
    {
        var node = Node();
        var by = ByOption.Create();
        var command = new Command("set", "Set caps") { node, by };
        foreach (var (_, option) in Caps)
            command.Options.Add(option);
        shell.Bind(command, context => SetAsync(context, context.Get(node), context.Get(by)));
        return command;
    }

    private static async Task<int> ShowAsync(CommandContext context, string node)
    {
        Draw(context, await context.Client.GetBudgetAsync(node, context.Interrupted));
        return ExitCodes.Ok;
    }

    private static async Task<int> SetAsync(CommandContext context, string node, string? by)
    {
        var caps = Caps.Where(cap => context.Get(cap.Option) is not null).ToDictionary(cap => cap.Dimension, cap => context.Get(cap.Option)!);
        if (caps.Count == 0)
            throw CommandFailure.Usage($"give at least one of {string.Join(", ", Caps.Select(cap => cap.Option.Name))}");
        var budget = await context.Client.SetBudgetAsync(node, new BudgetChangeRequest(caps, by), context.Interrupted);
        if (context.IsJson || node.StartsWith(Tenant, StringComparison.Ordinal))
            Draw(context, budget);
        else
            context.Terminal.WriteLine($"the change is recorded for {budget.Node}; a run that stands at the limit goes on with 'caisson resume'");
        return ExitCodes.Ok;
    }

    private static void Draw(CommandContext context, BudgetView budget)
    {
        if (context.IsJson)
        {
            context.Json(budget, OperationsJson.Default.BudgetView);
            return;
        }

        context.Terminal.WriteLine(string.Join(" > ", budget.Path));
        if (budget.Rows.Count == 0)
            context.Progress("no caps are set here and nothing is spent");
        else
            context.Table.Rows(["DIMENSION", "CAP", "SPENT", "HELD", "IN DOUBT"], budget.Rows.Select(row => new[] { row.Dimension, row.Cap ?? "none", row.Spent, row.Held, row.InDoubt }));
    }

    private static async Task<int> WasteAsync(CommandContext context, string run)
    {
        if (run.StartsWith(Tenant, StringComparison.Ordinal))
            throw CommandFailure.Usage("--waste: allowed with a run");
        var waste = await context.Client.GetWasteAsync(run.StartsWith("run:", StringComparison.Ordinal) ? run[4..] : run, context.Interrupted);
        if (context.IsJson)
            context.Json(waste, OperationsJson.Default.WasteList);
        else
            context.Table.Rows(["STEP", "EPOCH", "USD", "TOKENS", "CAUSE", "AT"], waste.Items.Select(row => new[]
            {
                row.Step.Length > 12 && context.Format != OutputFormat.Wide ? row.Step[..12] : row.Step, row.Epoch.ToString(CultureInfo.InvariantCulture), row.Usd,
                Format.Count(row.Tokens), row.Cause, row.At.ToString("u", CultureInfo.InvariantCulture),
            }));
        return ExitCodes.Ok;
    }
}
