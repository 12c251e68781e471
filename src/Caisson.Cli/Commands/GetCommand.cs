using System.CommandLine;
using System.Globalization;
using System.Text;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson get RUN</c>: one run, or files of its workspace.</summary>
internal static class GetCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<string?> File = new("--file") { Description = "Write this workspace file to stdout", HelpName = "PATH" };
    private static readonly Option<bool> Files = new("--files") { Description = "List the workspace's files" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("get", "Show a run, or a file of its workspace") { Run, File, Files };
        shell.Bind(command, GetAsync);
        return command;
    }

    private static Task<int> GetAsync(CommandContext context)
    {
        if (context.Get(File) is { } path)
            return context.Get(Files) ? throw CommandFailure.Usage("--file and --files: give one of them") : WriteFileAsync(context, path);
        return context.Get(Files) ? ListFilesAsync(context) : ShowAsync(context);
    }

    private static async Task<int> ShowAsync(CommandContext context)
    {
        var run = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        if (context.IsJson)
        {
            context.Json(run, ApiJson.Default.RunView);
            return ExitCodes.Ok;
        }

        context.Table.Pairs(Describe(run, context.Shell.Clock.GetUtcNow()));
        if (run.Result is { } result)
        {
            context.Terminal.WriteLine("result");
            foreach (var line in PlainText.Lines(result))
                context.Terminal.WriteLine("  " + line);
        }

        return ExitCodes.Ok;
    }

    private static IEnumerable<(string, string)> Describe(RunView run, DateTimeOffset now)
    {
        yield return ("run", run.Id);
        yield return ("agent", run.Agent);
        yield return ("status", Format.Status(run));
        if (run.Detail is { } detail)
            yield return ("detail", detail);
        if (run.Failure is { } failure)
            yield return ("failure", $"{failure.Code}: {failure.Message}");
        if (run.CurrentStep is { } step)
            yield return ("now", step);
        yield return ("created", $"{run.CreatedAt:u} ({Format.Duration(now - run.CreatedAt)} ago)");
        if (run.EndedAt is { } ended)
            yield return ("ended", $"{ended:u} (after {Format.Duration(ended - run.CreatedAt)})");
        yield return ("steps", $"{Format.Count(run.Steps)}, {Format.Plural(run.ToolCalls, "tool call")} among them");
        yield return ("tokens", $"{Format.Count(run.InputTokens)} in, {Format.Count(run.OutputTokens)} out");
        var doubt = run.InDoubtUsd is "0.00" ? "" : $", ${run.InDoubtUsd} of it in doubt";
        yield return ("money", $"${run.SpentUsd}{(run.BudgetUsd is null ? "" : $" of ${run.BudgetUsd}")}{doubt}");
        yield return ("epoch", run.Epoch.ToString(CultureInfo.InvariantCulture));
        yield return ("journal", run.LastSeq == 1 ? "1 entry" : $"{Format.Count(run.LastSeq)} entries");
        if (run.Artifacts.Count > 0)
            yield return ("artifacts", string.Join(", ", run.Artifacts));
        if (run.Kept is { } kept)
            yield return ("files", kept == WorkspaceKeep.None ? "none kept" : "artifacts kept, no others");
        foreach (var (key, value) in run.Labels)
            yield return ("label", $"{key}={value}");
    }

    private static async Task<int> ListFilesAsync(CommandContext context)
    {
        var files = await context.Client.ListFilesAsync(context.Get(Run), context.Interrupted);
        if (context.IsJson)
            context.Json(files, ApiJson.Default.IReadOnlyListWorkspaceFileView);
        else
            context.Table.Rows(["SIZE", "KIND", "PATH"], files.Select(f => new[] { Format.Bytes(f.Size), f.Kind, f.Path }));
        return ExitCodes.Ok;
    }

    private static async Task<int> WriteFileAsync(CommandContext context, string path)
    {
        if (path.Length == 0 || path.StartsWith('/') || path.Split('/').Any(part => part is "" or "." or ".."))
            throw CommandFailure.Usage($"--file: found '{path}', allowed is a path below the workspace, as report.md or out/data.csv");
        var content = await context.Client.ReadFileAsync(context.Get(Run), path, context.Interrupted);
        if (context.Terminal.OutIsTerminal)
            context.Terminal.WriteForeign(Encoding.UTF8.GetString(content));
        else
            context.Terminal.WriteBytes(content);
        return ExitCodes.Ok;
    }
}
