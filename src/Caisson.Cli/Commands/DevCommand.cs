using System.CommandLine;
using Caisson.Gateway.Providers;
using Caisson.MockModel;
using Caisson.MockModel.Scripts;
using Caisson.Server.Configuration;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson dev</c>: a server for one's own machine, with a scripted model where no real one is configured.</summary>
internal static class DevCommand
{
    private const string DataDirectory = ".caisson";

    private const string Script = """
        model: demo
        turns:
          - say: I look around first.
            delay: 300ms
            call: { name: shell, arguments: { command: "uname -sr; id; ls -la" } }
          - say: Now I write down what I found.
            delay: 300ms
            call: { name: files, arguments: { op: write, path: notes.md, content: "# Notes\n\nAsked: {{input}}\n" } }
          - say: "Done. You asked: {{input}}. My notes are in notes.md."
            delay: 300ms
        """;

    private static readonly ServerFlags Flags = new();

    internal static Command Create(Shell shell)
    {
        var command = new Command("dev", "Run a server for your own machine, with a scripted model");
        Flags.AddTo(command);
        shell.Bind(command, async context =>
        {
            var options = Flags.Read(context, DataDirectory);
            return Flags.Supervise(context) ? await ServeCommand.SuperviseAsync(context, options) : await HostAsync(context, options);
        });
        return command;
    }

    private static async Task<int> HostAsync(CommandContext context, ServerOptions options)
    {
        await using var mock = options.Providers.Count > 0 ? null : await StartMockAsync(context);
        if (mock is not null)
        {
            var provider = new ProviderOptions { Name = "mock", BaseUrl = mock.BaseUri.ToString() };
            provider.Prices["*"] = new PriceOptions { Input = 1, Output = 10 };
            options.Providers = [provider];
        }

        return await ServeCommand.HostAsync(context, options,
            context.Shell.Restarts > 0 ? null : host => Banner(context, options, $"http://{host.Address}", mock is not null));
    }

    private static async Task<MockModelServer> StartMockAsync(CommandContext context) =>
        MockScript.Parse(Script, "the built-in demo script") switch
        {
            MockScriptOutcome.Parsed parsed => await MockModelServer.StartAsync(new MockModelOptions { Script = parsed.Script, Time = context.Shell.Clock }),
            MockScriptOutcome.Refused refused => throw new InvalidOperationException(refused.Message),
            _ => throw new InvalidOperationException("unreachable"),
        };

    private static void Banner(CommandContext context, ServerOptions options, string address, bool mock)
    {
        var models = mock ? "mock/demo (scripted: no key, no cost)" : string.Join(", ", options.Providers.Select(p => p.Name + "/…"));
        context.Terminal.Error.WriteLine($"""
            caisson {VersionCommand.Text}: listening on {address}
              data    {options.DataDirectory}
              models  {models}
            """);
        if (mock)
        {
            context.Progress("""
                  try     printf 'name: hello\nloop: { model: mock/demo, instructions: Be brief., tools: [shell, files] }\n' > hello.yaml
                          caisson run hello.yaml -i 'hello there' --stream
                """);
        }

        context.Progress("  stop    Ctrl-C");
    }
}
