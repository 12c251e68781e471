using System.CommandLine;
using Caisson.Cli.Output;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson bundle RUN -o FILE</c>: all that is known of a run, for a bug report.</summary>
internal static class BundleCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<string> File = new("--file", "-o") { Description = "Where to write it; it must not exist", HelpName = "FILE", Required = true };
    private static readonly Option<bool> Payloads = new("--payloads") { Description = "The results of steps too, not only their sizes" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("bundle", "Write all that is known of a run into one file") { Run, File, Payloads };
        shell.Bind(command, WriteAsync);
        return command;
    }

    private static async Task<int> WriteAsync(CommandContext context)
    {
        var path = context.Get(File)!;
        var run = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        await using (var file = Open(path))
        {
            try
            {
                await context.Client.BundleAsync(run.Id, context.Get(Payloads), file, context.Interrupted);
            }
            catch
            {
                // Half of it would pass for the whole.
                System.IO.File.Delete(path);
                throw;
            }
        }

        context.Progress($"{path}: {Format.Bytes(new FileInfo(path).Length)}; it holds the run's input and manifest{(context.Get(Payloads) ? " and all results" : "")}: read it before you pass it on");
        return ExitCodes.Ok;
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw CommandFailure.Usage($"--file: cannot write '{path}' ({e.Message}): give a new file in a folder that you may write");
        }
    }
}
