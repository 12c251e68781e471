using Caisson.Client;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson journal --verify</c>: one line for each thing that is wrong with a journal.</summary>
internal static class VerifyReport
{
    private const int PageSize = 200;

    /// <param name="run">One run, or <c>null</c> for all.</param>
    internal static async Task<int> WriteAsync(CommandContext context, string? run)
    {
        var (runs, entries, findings) = (0L, 0L, 0L);
        var all = new List<VerifyView>();
        await foreach (var report in ReportsAsync(context, run))
        {
            runs++;
            entries += report.Entries;
            findings += report.Findings.Count;
            if (context.Format == OutputFormat.Json && run is null)
                all.Add(report);
            else if (context.IsJson)
                context.Json(report, OperationsJson.Default.VerifyView);
            else
                Draw(context, report);
        }

        if (context.Format == OutputFormat.Json && run is null)
            context.Json(new VerifyList(all), OperationsJson.Default.VerifyList);

        context.Progress($"{Format.Plural(runs, "run")}, {Format.Count(entries)} journal entries: {(findings == 0 ? "all is well" : Format.Plural(findings, "finding"))}");
        return findings == 0 ? ExitCodes.Ok : ExitCodes.Failed;
    }

    private static async IAsyncEnumerable<VerifyView> ReportsAsync(CommandContext context, string? run)
    {
        if (run is not null)
        {
            yield return await context.Client.VerifyAsync(run, context.Interrupted);
            yield break;
        }

        string? next = null;
        do
        {
            var page = await context.Client.ListRunsAsync(new RunQuery([], null, next, PageSize), context.Interrupted);
            foreach (var one in page.Items)
            {
                if (await TryAsync(context, one.Id) is { } report)
                    yield return report;
            }

            next = page.Next;
        }
        while (next is not null);
    }

    /// <summary>A run may be deleted between the list and the look at it.</summary>
    private static async Task<VerifyView?> TryAsync(CommandContext context, string run)
    {
        try
        {
            return await context.Client.VerifyAsync(run, context.Interrupted);
        }
        catch (ApiException gone) when (gone.Problem.Code == ErrorCodes.RunNotFound)
        {
            return null;
        }
    }

    private static void Draw(CommandContext context, VerifyView report)
    {
        foreach (var finding in report.Findings)
            context.Terminal.WriteLine($"{report.Run} {finding.Seq} {finding.Code}: {PlainText.Line(finding.Text)}");
        if (report.Truncated)
            context.Terminal.WriteLine($"{report.Run} more than these");
    }
}
