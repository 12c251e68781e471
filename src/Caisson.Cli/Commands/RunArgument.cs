using System.CommandLine;

namespace Caisson.Cli.Commands;

internal static class RunArgument
{
    internal static Argument<string> Create() => new("RUN") { Description = "Id of the run, or the beginning of it" };
}
