using System.CommandLine;
using System.Net;
using Caisson.Contracts;
using Caisson.MockModel;
using Caisson.MockModel.Scripts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson mock-model SCRIPT</c>: a model provider that plays a script.</summary>
internal static class MockModelCommand
{
    private const int MaxScriptBytes = 1 << 20;

    private static readonly Argument<string> Script = new("SCRIPT.yaml") { Description = "What to answer" };
    private static readonly Option<string> Listen = new("--listen") { Description = "Address and port; port 0 takes a free one", DefaultValueFactory = _ => "127.0.0.1:0", HelpName = "ADDRESS:PORT" };
    private static readonly Option<string?> Log = new("--log") { Description = "Append each request to this file, as JSON lines", HelpName = "FILE" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("mock-model", "Run a scripted model provider on the wires of OpenAI, Anthropic and Gemini") { Script, Listen, Log };
        shell.Bind(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context)
    {
        var file = context.Get(Script);
        if (!IPEndPoint.TryParse(context.Get(Listen) ?? "", out var listen) || !IPAddress.IsLoopback(listen.Address))
            throw CommandFailure.Usage($"--listen: found '{context.Get(Listen)}', allowed is a loopback ADDRESS:PORT, as 127.0.0.1:4010");
        var text = await InputText.ReadFileAsync(file, "SCRIPT.yaml", MaxScriptBytes, context.Interrupted);
        var script = MockScript.Parse(text, file) switch
        {
            MockScriptOutcome.Parsed parsed => parsed.Script,
            MockScriptOutcome.Refused refused => throw new CommandFailure(ExitCodes.Config, ErrorCodes.ScriptInvalid, refused.Message),
            _ => throw new InvalidOperationException("unreachable"),
        };

        try
        {
            await using var server = await MockModelServer.StartAsync(new MockModelOptions { Script = script, Listen = listen, LogFile = context.Get(Log), Time = context.Shell.Clock });
            // The base URL is what a script or a person copies into a configuration: it is this command's data.
            context.Terminal.WriteLineNow($"listening on {server.BaseUri}");
            var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = context.Interrupted.Register(() => told.TrySetResult());
            await told.Task;
            context.Progress($"caisson: stopped after {server.Requests} requests");
            return ExitCodes.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandFailure(ExitCodes.Config, "config_invalid", $"mock-model: cannot start on {listen} ({e.Message}): choose another port or log file");
        }
    }
}
