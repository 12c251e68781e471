using System.CommandLine;

namespace Caisson.Cli.Commands;

/// <summary>Who asks, for the journal.</summary>
internal static class ByOption
{
    internal static Option<string> Create() => new("--by")
    {
        Description = "Who says so, for the journal (default: user@host)",
        HelpName = "NAME",
        DefaultValueFactory = _ => $"{Environment.UserName}@{Environment.MachineName}",
    };
}
