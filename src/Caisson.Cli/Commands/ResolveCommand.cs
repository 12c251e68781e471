using System.CommandLine;
using System.Text.Json;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core.Operations;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson resolve RUN STEP</c>: how a step came out that was under way when its server died. Without a step, lists them.</summary>
internal static class ResolveCommand
{
    private const int KeyWidth = 12;

    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Argument<string?> Step = new("STEP") { Description = "Key of the step, or the beginning of it; without it such steps are listed", Arity = ArgumentArity.ZeroOrOne };
    private static readonly Option<bool> Done = new("--done") { Description = "It took effect" };
    private static readonly Option<bool> NotDone = new("--not-done") { Description = "It did not: it runs again" };
    private static readonly Option<bool> Skip = new("--skip") { Description = "Go on without it: the agent is told that it failed" };
    private static readonly Option<string?> Result = new("--result") { Description = "With --done, what it answered: JSON, @FILE, or - for stdin; null by default", HelpName = "JSON" };
    private static readonly Option<string> By = ByOption.Create();

    internal static Command Create(Shell shell)
    {
        var command = new Command("resolve", "Say how an interrupted step came out") { Run, Step, Done, NotDone, Skip, Result, By };
        shell.Bind(command, context => context.Parse.GetValue(Step) is { } step ? ResolveAsync(context, step) : ListAsync(context));
        return command;
    }

    private static async Task<int> ResolveAsync(CommandContext context, string step)
    {
        var how = (context.Get(Done), context.Get(NotDone), context.Get(Skip)) switch
        {
            (true, false, false) => "done",
            (false, true, false) => "not_done",
            (false, false, true) => "skip",
            _ => throw CommandFailure.Usage("give one of --done, --not-done and --skip"),
        };
        var view = await context.Client.ResolveAsync(context.Get(Run), new ResolveRequest(step, how, await ResultAsync(context), context.Get(By)), context.Interrupted);
        if (context.IsJson)
            context.Json(view, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLine($"the outcome is recorded for run {view.Id}");
        return ExitCodes.Ok;
    }

    private static async Task<JsonElement?> ResultAsync(CommandContext context)
    {
        if (await InputText.ReadAsync(context.Get(Result), "--result", RunOperations.MaxResultBytes, context.Interrupted) is not { } text)
            return null;
        try
        {
            using var json = JsonDocument.Parse(text);
            return json.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw CommandFailure.Usage($"--result: allowed is JSON ({e.Message})");
        }
    }

    private static async Task<int> ListAsync(CommandContext context)
    {
        if (context.Get(Done) || context.Get(NotDone) || context.Get(Skip))
            throw CommandFailure.Usage("STEP is missing: 'caisson resolve RUN' lists the steps of unknown outcome");
        var steps = await context.Client.ListUnknownsAsync(context.Get(Run), context.Interrupted);
        if (context.IsJson)
            context.Json(steps, OperationsJson.Default.UnknownSteps);
        else
            context.Table.Rows(["STEP", "KIND", "NAME", "EFFECT", "POLICY", "SINCE", "ARGUMENTS"], steps.Items.Select(item => new[]
            {
                context.Format == OutputFormat.Wide || item.Step.Length <= KeyWidth ? item.Step : item.Step[..KeyWidth], item.Kind, item.Name, item.Effect, item.Policy,
                Format.Duration(context.Shell.Clock.GetUtcNow() - item.At) + " ago", PlainText.Line(item.Arguments ?? "", 80),
            }));
        return ExitCodes.Ok;
    }
}
