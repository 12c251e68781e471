using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson run AGENT.yaml</c>: starts a run, and waits for it where asked.</summary>
internal static class RunCommand
{
    private static readonly Argument<string> Agent = new("AGENT.yaml") { Description = "The agent's manifest" };
    internal static readonly Option<string?> Input = new("--input", "-i") { Description = "The input: text, @FILE, or - for stdin", HelpName = "TEXT" };
    private static readonly Option<bool> Wait = new("--wait") { Description = "Wait for the end and print the result" };
    private static readonly Option<bool> Stream = new("--stream") { Description = "Show steps as they happen; implies --wait" };
    internal static readonly Option<string?> Key = new("--idempotency-key") { Description = "The same key starts one run only", HelpName = "KEY" };
    internal static readonly Option<string[]> Labels = new("--label") { Description = "A label, K=V; may be repeated", HelpName = "K=V" };

    internal static Command Create(Shell shell)
    {
        var limits = new LimitOptions();
        var command = new Command("run", "Start a run of an agent") { Agent, Input, Wait, Stream, Key, Labels };
        limits.AddTo(command);
        shell.Bind(command, context => RunAsync(context, limits));
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, LimitOptions limits)
    {
        var file = context.Get(Agent);
        var request = new CreateRunRequest(
            await InputText.ReadFileAsync(file, "AGENT.yaml", NewRuns.MaxManifestBytes, context.Interrupted),
            Path.GetFileName(file),
            await InputText.ReadAsync(context.Get(Input), "--input", NewRuns.MaxInputBytes, context.Interrupted) ?? "",
            limits.Read(context),
            ReadLabels(context));

        // With a key of our own a request whose answer was lost can be sent again without starting a second run.
        var key = context.Get(Key) ?? context.Shell.Ids.NextRandom().ToString("N", CultureInfo.InvariantCulture);
        var (run, existing) = await Resend.UntilAnsweredAsync(context, token => context.Client.CreateRunAsync(request, key, token));
        if (existing && context.Get(Key) is not null)
            context.Progress($"run {run.Id} exists already under this idempotency key");
        if (!context.Get(Wait) && !context.Get(Stream))
        {
            if (context.IsJson)
                context.Json(run, ApiJson.Default.RunView);
            else
                context.Terminal.WriteLineNow(run.Id);
            return ExitCodes.Ok;
        }

        context.Progress($"run {run.Id} of {PlainText.Line(run.Agent)}");
        return await WatchAsync(context, run.Id, 0, context.Get(Stream));
    }

    /// <summary>Waits for the run's rest, showing its steps where asked, and reports it.</summary>
    internal static async Task<int> WatchAsync(CommandContext context, string run, long after, bool stream)
    {
        var entries = stream ? EntrySink.Create(context) : null;
        var ended = await new RunWatch(context).UntilAtRestAsync(run, after, entries, null);
        // As JSON lines the entries were the data.
        return stream && context.Format == OutputFormat.Jsonl ? ExitCodes.Of(ended) : RunReport.Write(context, ended);
    }

    internal static Dictionary<string, string>? ReadLabels(CommandContext context)
    {
        if (context.Get(Labels) is not { Length: > 0 } given)
            return null;
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in given)
        {
            var at = text.IndexOf('=', StringComparison.Ordinal);
            if (at < 1 || !labels.TryAdd(text[..at], text[(at + 1)..]))
                throw CommandFailure.Usage($"--label: found '{text}', allowed is KEY=VALUE with each key once");
        }

        return labels;
    }
}
