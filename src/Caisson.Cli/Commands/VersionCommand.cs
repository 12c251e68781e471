using System.CommandLine;
using System.Runtime.InteropServices;

namespace Caisson.Cli.Commands;

internal static class VersionCommand
{
    internal static readonly string Text = typeof(VersionCommand).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    internal static Command Create(Shell shell)
    {
        var command = new Command("version", "Show the version");
        shell.Bind(command, context =>
        {
            if (context.IsJson)
                context.Json(new VersionView(1, Text, RuntimeInformation.FrameworkDescription, RuntimeInformation.RuntimeIdentifier), CliJson.Default.VersionView);
            else
                context.Terminal.WriteLine($"caisson {Text} ({RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier})");
            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }
}

internal sealed record VersionView(int Schema, string Version, string Runtime, string Platform);
