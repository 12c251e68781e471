using System.Formats.Tar;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Server.Copying;

/// <summary>
/// A file or an archive into a live box. An archive is read twice: first every entry is checked, then all is written,
/// so that one which is refused has changed nothing. Files are written by the box's agent, which follows no link;
/// folders, links and execution bits are made by the box's own programs as its own user, with arguments and no shell.
/// Links come last, so nothing is written through one of them.
/// </summary>
internal sealed class CopyIn(ISandbox box, string target, CancellationToken cancellationToken)
{
    private const int NamesInACommand = 100;
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(60);

    /// <summary>Answers why it was not done.</summary>
    internal async Task<Failure?> FileAsync(Stream content, bool executable) =>
        await WriteAsync(target, content, content.Length) ?? (executable ? await CommandAsync(["chmod", "755", "--"], [target]) : null);

    /// <summary>Answers why it was not done, or not to its end.</summary>
    internal async Task<Failure?> ArchiveAsync(Stream archive)
    {
        try
        {
            if (await ArchiveCheck.OfAsync(archive, cancellationToken) is { } refused)
                return refused;
            archive.Position = 0;
            return await UnpackAsync(archive);
        }
        catch (Exception e) when (ArchiveCheck.IsDamage(e))
        {
            return ArchiveCheck.Damaged;
        }
    }

    private async Task<Failure?> UnpackAsync(Stream archive)
    {
        var (folders, executables, links) = (new List<string>(), new List<string>(), new List<(string Path, string Target)>());
        if (target.Length > 0)
            folders.Add(target);
        await using var tar = new TarReader(archive, leaveOpen: true);
        while (await tar.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
        {
            var path = In(ArchivePath.Check(entry.Name).Path ?? "");
            switch (entry.EntryType)
            {
                case TarEntryType.Directory when path.Length > 0:
                    folders.Add(path);
                    break;
                case TarEntryType.SymbolicLink:
                    links.Add((path, entry.LinkName));
                    break;
                case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                    if (await WriteAsync(path, entry.DataStream ?? Stream.Null, entry.Length) is { } failure)
                        return failure;
                    if (entry.Mode.HasFlag(UnixFileMode.UserExecute))
                        executables.Add(path);
                    break;
            }
        }

        if (await CommandAsync(["mkdir", "-p", "--"], folders) is { } unmade)
            return unmade;
        if (await CommandAsync(["chmod", "755", "--"], executables) is { } unset)
            return unset;
        foreach (var (path, to) in links)
            if (await CommandAsync(["ln", "-sfT", "--", to], [path]) is { } unlinked)
                return unlinked;
        return null;
    }

    private async Task<Failure?> WriteAsync(string path, Stream content, long length)
    {
        var bytes = new byte[length];
        await content.ReadExactlyAsync(bytes, cancellationToken);
        return await box.WriteFileAsync(path, bytes, cancellationToken) switch
        {
            FileWriteOutcome.Refused refused => refused.Failure,
            FileWriteOutcome.Lost lost => lost.Failure,
            _ => null,
        };
    }

    /// <summary>A program of the box over names, as many at a time as fit into a command line.</summary>
    private async Task<Failure?> CommandAsync(string[] command, List<string> names)
    {
        foreach (var some in names.Chunk(NamesInACommand))
        {
            var request = new ExecRequest([.. command, .. some], null, new Dictionary<string, string>(), default, CommandLimit, MaxOutputBytes: 512);
            var failure = await box.ExecAsync(request, cancellationToken) switch
            {
                ExecOutcome.Exited { ExitCode: 0 } => null,
                ExecOutcome.Exited exited => new Failure(ErrorCodes.ToolArguments, $"{command[0]} in the box ended with {exited.ExitCode}: {Text(exited.Error)}"),
                ExecOutcome.NotStarted not => not.Failure,
                ExecOutcome.Lost lost => lost.Failure,
                _ => new Failure(ErrorCodes.StepTimeout, $"{command[0]} in the box took more than {CommandLimit.TotalSeconds} s"),
            };
            if (failure is not null)
                return failure;
        }

        return null;
    }

    private string In(string path) => target.Length == 0 ? path : path.Length == 0 ? target : $"{target}/{path}";

    private static string Text(BoundedOutput output) => PlainText.Line(System.Text.Encoding.UTF8.GetString(output.Head.Span).TrimEnd('\n'));
}
