using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Caisson.Cli.Copying;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;

namespace Caisson.Cli.Commands;

/// <summary>
/// <c>caisson exec -- COMMAND</c>: runs a program that nobody changed as a process agent, in a box, with the files of this
/// folder, and passes on what it wrote and its exit code.
/// </summary>
internal static class ExecCommand
{
    private static readonly Argument<string[]> Program = new("COMMAND") { Description = "Program and arguments, after '--'; no shell reads them", Arity = ArgumentArity.OneOrMore };
    private static readonly Option<string?> Name = new("--name") { Description = "Name of the agent (default: the program's)", HelpName = "NAME" };
    private static readonly Option<string?> Directory = new("--dir") { Description = "Folder whose files it begins with (default: this one)", HelpName = "PATH" };
    private static readonly Option<bool> NoFiles = new("--no-files") { Description = "It begins with an empty workspace" };
    private static readonly Option<string[]> Variables = new("--env", "-e") { Description = "A variable of its environment; may be repeated", HelpName = "K=V" };
    private static readonly Option<string?> Memory = new("--memory") { Description = "Most memory of its box (default 512MiB)", HelpName = "SIZE" };
    private static readonly Option<string?> Image = new("--image") { Description = "What its box sees as its root (default: this host's programs)", HelpName = "NAME" };
    private static readonly Option<bool> Detach = new("--detach", "-d") { Description = "Print the run's id and do not wait" };

    internal static Command Create(Shell shell)
    {
        var limits = new LimitOptions();
        var command = new Command("exec", "Run a program as a durable, contained and metered agent")
        {
            Program, Name, Directory, NoFiles, RunCommand.Input, Variables, Memory, Image, Detach, RunCommand.Key, RunCommand.Labels,
        };
        limits.AddTo(command);
        shell.Bind(command, context => RunAsync(context, limits));
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, LimitOptions limits)
    {
        var input = await InputText.ReadAsync(context.Get(RunCommand.Input), "--input", NewRuns.MaxInputBytes, context.Interrupted) ?? "";
        var request = new CreateRunRequest(Manifest(context), "exec", input, limits.Read(context), RunCommand.ReadLabels(context))
        {
            Workspace = context.Get(NoFiles) ? null : await UploadAsync(context),
        };
        var key = context.Get(RunCommand.Key) ?? context.Shell.Ids.NextRandom().ToString("N", CultureInfo.InvariantCulture);
        var (run, _) = await Resend.UntilAnsweredAsync(context, token => context.Client.CreateRunAsync(request, key, token));
        if (context.Get(Detach))
        {
            if (context.IsJson)
                context.Json(run, ApiJson.Default.RunView);
            else
                context.Terminal.WriteLineNow(run.Id);
            return ExitCodes.Ok;
        }

        context.Progress($"run {run.Id}");
        var ended = await new RunWatch(context).UntilAtRestAsync(run.Id, 0, null, null);
        return !context.IsJson && await EndOfAsync(context, ended) is { } end ? PassOn(context, end) : RunReport.Write(context, ended);
    }

    private static int PassOn(CommandContext context, ProcessEnd end)
    {
        context.Terminal.Out.Write(context.Terminal.OutIsTerminal ? string.Join('\n', PlainText.Lines(end.Output)) : end.Output);
        context.Terminal.Out.Flush();
        context.Terminal.Error.Write(context.Terminal.ErrorIsTerminal ? string.Join('\n', PlainText.Lines(end.Error)) : end.Error);
        return end.ExitCode;
    }

    /// <summary>What the program ended with; <c>null</c> where it has not.</summary>
    private static async Task<ProcessEnd?> EndOfAsync(CommandContext context, RunView run)
    {
        if (!run.Status.IsFinal())
            return null;
        ProcessEnd? end = null;
        await foreach (var entry in context.Client.ReadJournalAsync(run.Id, Math.Max(0, run.LastSeq - 3), payloads: true, context.Interrupted))
        {
            if (entry is { Kind: "step_completed", Result: { ValueKind: JsonValueKind.Object } result } && result.TryGetProperty("exitCode", out var code))
                end = new ProcessEnd(code.GetInt32(), result.GetProperty("output").GetString() ?? "", result.GetProperty("error").GetString() ?? "");
        }

        return end;
    }

    private static async Task<string> UploadAsync(CommandContext context)
    {
        var folder = context.Get(Directory) ?? ".";
        if (!System.IO.Directory.Exists(folder))
            throw CommandFailure.Usage($"--dir: there is no folder '{folder}'");
        await using var archive = await Packing.OfAsync(folder, context.Interrupted);
        return (await context.Client.UploadWorkspaceAsync(archive, context.Interrupted)).Root;
    }

    /// <summary>JSON is YAML, and needs no rules of its own for quoting.</summary>
    private static string Manifest(CommandContext context)
    {
        var program = context.Get(Program)!;
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("name", context.Get(Name) ?? Plain(Path.GetFileName(program[0])));
            json.WriteStartObject("process");
            json.WriteStartArray("command");
            foreach (var part in program)
                json.WriteStringValue(part);
            json.WriteEndArray();
            if (context.Get(Variables) is { Length: > 0 } variables)
            {
                json.WriteStartObject("env");
                foreach (var variable in variables)
                {
                    var at = variable.IndexOf('=', StringComparison.Ordinal);
                    json.WriteString(at > 0 ? variable[..at] : throw CommandFailure.Usage($"--env: found '{variable}', allowed is NAME=VALUE"), variable[(at + 1)..]);
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
            if ((context.Get(Memory), context.Get(Image)) is not (null, null) and var (memory, image))
            {
                json.WriteStartObject("sandbox");
                if (memory is not null)
                    json.WriteString("memory", memory);
                if (image is not null)
                    json.WriteString("image", image);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(bytes.ToArray());
    }

    private static string Plain(string name)
    {
        var plain = new string([.. name.Where(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.').Take(100)]);
        return plain.Length == 0 ? "program" : plain;
    }

    private sealed record ProcessEnd(int ExitCode, string Output, string Error);
}
