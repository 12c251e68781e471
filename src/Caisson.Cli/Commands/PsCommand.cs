using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson ps</c>: runs that have not ended, or all of them.</summary>
internal static class PsCommand
{
    private const int PageSize = 200;

    private static readonly Option<string[]> Status = new("--status") { Description = "Only these states; may be repeated", HelpName = "STATE" };
    private static readonly Option<bool> All = new("--all", "-a") { Description = "Ended runs too" };
    private static readonly Option<string?> Agent = new("--agent") { Description = "Only runs of this agent", HelpName = "NAME" };
    private static readonly Option<int> Limit = new("--limit") { Description = "Most runs to list", DefaultValueFactory = _ => 100, HelpName = "N" };

    private static readonly RunStatus[] Live = [RunStatus.Ready, RunStatus.Running, RunStatus.Waiting, RunStatus.Paused];

    internal static Command Create(Shell shell)
    {
        var command = new Command("ps", "List runs, newest first") { Status, All, Agent, Limit };
        shell.Bind(command, ListAsync);
        return command;
    }

    private static async Task<int> ListAsync(CommandContext context)
    {
        var statuses = (context.Get(Status) ?? []).SelectMany(s => s.Split(',')).Select(Parse).ToArray();
        if (statuses.Length == 0 && !context.Get(All))
            statuses = Live;
        var runs = new List<RunView>();
        var limit = Math.Max(1, context.Get(Limit));
        string? next = null;
        do
        {
            var page = await context.Client.ListRunsAsync(new RunQuery(statuses, context.Get(Agent), next, Math.Min(limit - runs.Count, PageSize)), context.Interrupted);
            runs.AddRange(page.Items);
            next = page.Next;
        }
        while (next is not null && runs.Count < limit);

        switch (context.Format)
        {
            case OutputFormat.Json:
                context.Json(new RunPage(runs, next), ApiJson.Default.RunPage);
                break;
            case OutputFormat.Jsonl:
                foreach (var run in runs)
                    context.Json(run, ApiJson.Default.RunView);
                break;
            default:
                Draw(context, runs);
                if (next is not null)
                    context.Progress($"more than {limit} runs: --limit shows more");
                break;
        }

        return ExitCodes.Ok;
    }

    private static void Draw(CommandContext context, List<RunView> runs)
    {
        var wide = context.Format == OutputFormat.Wide;
        var now = context.Shell.Clock.GetUtcNow();
        string[] columns = ["RUN", "AGENT", "STATUS", "STEPS", "TOKENS", "USD", "AGE"];
        if (wide)
            columns = [.. columns, "EPOCH", "CREATED", "LABELS", "NOW"];
        context.Table.Rows(columns, runs.Select(run => Row(run, wide, now)));
    }

    private static string[] Row(RunView run, bool wide, DateTimeOffset now)
    {
        string[] cells =
        [
            wide ? run.Id : Format.ShortId(run.Id), run.Agent, Format.Status(run), Format.Count(run.Steps),
            Format.Count(run.InputTokens + run.OutputTokens),
            run.BudgetUsd is null ? run.SpentUsd : $"{run.SpentUsd}/{run.BudgetUsd}",
            Format.Duration(now - run.CreatedAt),
        ];
        if (!wide)
            return cells;
        return
        [
            .. cells, run.Epoch.ToString(CultureInfo.InvariantCulture), run.CreatedAt.ToString("u", CultureInfo.InvariantCulture),
            string.Join(',', run.Labels.Select(l => $"{l.Key}={l.Value}")), run.CurrentStep ?? run.Detail ?? "",
        ];
    }

    private static RunStatus Parse(string text)
    {
        foreach (var status in Enum.GetValues<RunStatus>())
        {
            if (Format.Word(status) == text)
                return status;
        }

        throw CommandFailure.Usage($"--status: found '{text}', allowed are {string.Join(", ", Enum.GetValues<RunStatus>().Select(Format.Word))}");
    }
}
