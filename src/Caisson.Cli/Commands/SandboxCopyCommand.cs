using System.CommandLine;
using Caisson.Cli.Copying;
using Caisson.Client;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson sandbox cp FROM TO</c>, one of them <c>BOX:PATH</c>: files and folders out of and into a box's workspace.</summary>
internal static class SandboxCopyCommand
{
    private const string Workspace = "/workspace";
    private static readonly Argument<string> From = new("FROM") { Description = "BOX:PATH, or a file or folder here" };
    private static readonly Argument<string> To = new("TO") { Description = "A place here, or BOX:PATH" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("cp", "Copy a file or folder out of a box, or into it") { From, To };
        shell.Bind(command, context => (BoxOf(context.Get(From)), BoxOf(context.Get(To))) switch
        {
            ({ } from, null) => OutAsync(context, from, context.Get(To)),
            (null, { } to) => InAsync(context, context.Get(From), to),
            _ => throw CommandFailure.Usage("one of FROM and TO is BOX:PATH, as in 'caisson sandbox cp 3f9a:report.md .'; a file here with ':' in its name begins with ./"),
        });
        return command;
    }

    private static (string Box, string Path)? BoxOf(string place) => place.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon && !place[..colon].Contains('/', StringComparison.Ordinal)
        ? (place[..colon], Below(place[(colon + 1)..]))
        : null;

    /// <summary>Checked here: on its way into an address '..' would be taken for another address.</summary>
    private static string Below(string given)
    {
        var path = given == Workspace || given.StartsWith(Workspace + "/", StringComparison.Ordinal) ? given[Workspace.Length..].TrimStart('/') : given;
        var (clean, complaint) = ArchivePath.Check(path);
        return clean is null ? throw CommandFailure.Usage($"the path '{given}' {complaint}: only the workspace is copied, give a path below {Workspace}") : path.EndsWith('/') ? clean + "/" : clean;
    }

    private static async Task<int> OutAsync(CommandContext context, (string Box, string Path) from, string to)
    {
        using var copy = await context.Client.CopyOutAsync(from.Box, from.Path, context.Interrupted);
        var name = LastName(from.Path);
        if (Directory.Exists(to))
            to = Path.Combine(to, name.Length > 0 ? name : "workspace");
        try
        {
            return copy.IsArchive ? await UnpackAsync(context, copy.Content, to) : await WriteAsync(context, copy, to);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CommandFailure.Usage($"'{to}' cannot be written ({e.Message}): give a place that you may write");
        }
    }

    private static async Task<int> UnpackAsync(CommandContext context, Stream archive, string to)
    {
        if (Path.Exists(to))
            throw CommandFailure.Usage($"'{to}' is there already: a folder is copied to a place where nothing is, give another one");
        var unpacked = await new Unpacking(to).RunAsync(archive, context.Interrupted);
        foreach (var left in unpacked.LeftOut.Take(Unpacking.MostTold))
            context.Note($"left out: {left}");
        if (unpacked.LeftOut.Count > Unpacking.MostTold)
            context.Note($"left out: {unpacked.LeftOut.Count - Unpacking.MostTold} more");
        context.Progress($"{PlainText.Line(to)}: {Output.Format.Plural(unpacked.Files, "file")}, {Output.Format.Bytes(unpacked.Bytes)}");
        return unpacked.LeftOut.Count == 0 ? ExitCodes.Ok : ExitCodes.Failed;
    }

    /// <summary>Beside its place and then moved there: a link that stands there is replaced, and never written through.</summary>
    private static async Task<int> WriteAsync(CommandContext context, SandboxCopy copy, string to)
    {
        var temporary = $"{to}.{context.Shell.Ids.NextRandom():N}"[..(to.Length + 9)];
        try
        {
            await using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
                await copy.Content.CopyToAsync(file, context.Interrupted);
            if (copy.IsExecutable && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(temporary, File.GetUnixFileMode(temporary) | Unpacking.Executable);
            File.Move(temporary, to, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }

        context.Progress($"{PlainText.Line(to)}: {Output.Format.Bytes(new FileInfo(to).Length)}");
        return ExitCodes.Ok;
    }

    private static async Task<int> InAsync(CommandContext context, string from, (string Box, string Path) to)
    {
        var path = to.Path.Length == 0 || to.Path.EndsWith('/') ? to.Path + LastName(Path.GetFullPath(from).TrimEnd('/')) : to.Path;
        try
        {
            if (Directory.Exists(from))
            {
                await using var archive = await Packing.OfAsync(from, context.Interrupted);
                await context.Client.CopyArchiveInAsync(to.Box, path, archive, context.Interrupted);
            }
            else if (File.Exists(from))
            {
                await using var file = new FileStream(from, FileMode.Open, FileAccess.Read);
                if (file.Length > SandboxCopyLimits.FileBytes)
                    throw CommandFailure.Usage($"'{from}' has {Output.Format.Bytes(file.Length)}, allowed are {Output.Format.Bytes(SandboxCopyLimits.FileBytes)}: copy it in parts");
                var executable = !OperatingSystem.IsWindows() && File.GetUnixFileMode(from).HasFlag(UnixFileMode.UserExecute);
                await context.Client.CopyInAsync(to.Box, path, file, executable, context.Interrupted);
            }
            else
            {
                throw CommandFailure.Usage($"'{from}' is not here: give a file or a folder");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CommandFailure.Usage($"'{from}' cannot be read ({e.Message}): give a file or folder that you may read");
        }

        context.Progress($"{PlainText.Line(to.Box)}:{PlainText.Line(path)} is written; it is durable with the run's next step that may change files");
        return ExitCodes.Ok;
    }

    private static string LastName(string path)
    {
        path = path.TrimEnd('/');
        return path[(path.LastIndexOf('/') + 1)..] is "." or ".." ? "" : path[(path.LastIndexOf('/') + 1)..];
    }
}
