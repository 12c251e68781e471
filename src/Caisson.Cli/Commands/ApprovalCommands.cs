using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson approvals | approve | deny</c>: what runs ask of people.</summary>
internal static class ApprovalCommands
{
    private const int KeyWidth = 12;

    internal static Command List(Shell shell)
    {
        var run = new Argument<string?>("RUN") { Description = "Of this run only", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("approvals", "List what runs ask of people") { run };
        shell.Bind(command, async context =>
        {
            IReadOnlyList<ApprovalView> items;
            if (context.Parse.GetValue(run) is { } one)
                items = (await context.Client.ListApprovalsAsync(one, context.Interrupted)).Items;
            else
                items = await context.Client.ListApprovalsAsync(context.Interrupted).ToListAsync(context.Interrupted);
            if (context.IsJson)
                context.Json(new ApprovalPage(items, null), OperationsJson.Default.ApprovalPage);
            else
                context.Table.Rows(["RUN", "AGENT", "KEY", "ASKED", "EXPIRES", "PEOPLE", "QUESTION"], items.Select(item => Row(item, context.Format == OutputFormat.Wide, context.Shell.Clock.GetUtcNow())));
            return ExitCodes.Ok;
        });
        return command;
    }

    internal static Command Approve(Shell shell) => Decide(shell, "approve", "Say yes to what a run asks", approved: true);

    internal static Command Deny(Shell shell) => Decide(shell, "deny", "Say no to what a run asks", approved: false);

    private static Command Decide(Shell shell, string name, string description, bool approved)
    {
        var run = RunArgument.Create();
        var key = new Argument<string?>("KEY") { Description = "Which approval, or the beginning of its key; needed where several are open", Arity = ArgumentArity.ZeroOrOne };
        var comment = new Option<string?>("--comment") { Description = "A word for the journal", HelpName = "TEXT" };
        var by = ByOption.Create();
        var command = new Command(name, description) { run, key, comment, by };
        shell.Bind(command, async context =>
        {
            var who = context.Get(by);
            var view = await context.Client.DecideAsync(context.Get(run), new DecisionRequest(approved, context.Parse.GetValue(key), who, context.Get(comment)), context.Interrupted);
            if (context.IsJson)
                context.Json(view, ApiJson.Default.RunView);
            else
                context.Terminal.WriteLine($"the {(approved ? "yes" : "no")} of {PlainText.Line(who ?? "")} is recorded for run {view.Id}");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static string[] Row(ApprovalView item, bool wide, DateTimeOffset now) =>
    [
        wide ? item.Run : Format.ShortId(item.Run), item.Agent, wide || item.Key.Length <= KeyWidth ? item.Key : item.Key[..KeyWidth], Format.Duration(now - item.AskedAt) + " ago",
        item.Expired ? "expired" : item.ExpiresAt is { } at ? "in " + Format.Duration(at - now) : "never", item.Approvers.ToString(CultureInfo.InvariantCulture), item.Question,
    ];
}
