using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson sandbox list | exec | shell | cp | snapshot | snapshots | fork | rm | pool</c>: the boxes that live now.</summary>
internal static class SandboxCommands
{
    private const int ShortId = 12;

    internal static Command Create(Shell shell) => new("sandbox", "Look into the boxes that live now, and work in them")
    {
        List(shell), SandboxExecCommand.Create(shell), SandboxShellCommand.Create(shell), SandboxCopyCommand.Create(shell),
        SandboxSnapshotCommands.Take(shell), SandboxSnapshotCommands.List(shell), SandboxSnapshotCommands.Fork(shell), Remove(shell), Pool(shell),
    };

    internal static Argument<string> Box() => new("BOX") { Description = "Id of the box or of its run, or the beginning of it" };

    private static Command List(Shell shell)
    {
        var command = new Command("list", "List boxes, oldest first");
        shell.Bind(command, async context =>
        {
            var view = await context.Client.ListSandboxesAsync(context.Interrupted);
            if (context.IsJson)
                context.Json(view, SandboxJson.Default.SandboxesView);
            else if (view.Sandboxes.Count == 0)
                context.Progress("there is no box now");
            else
                Draw(context, view.Sandboxes);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void Draw(CommandContext context, IReadOnlyList<SandboxView> boxes)
    {
        var wide = context.Format == OutputFormat.Wide;
        var now = context.Shell.Clock.GetUtcNow();
        string[] columns = ["BOX", "RUN", "PROVIDER", "STATE", "MEMORY", "CPU", "PROCESSES", "AGE", "FORK OF"];
        context.Table.Rows(wide ? [.. columns, "EPOCH", "IMAGE"] : columns, boxes.Select(box =>
        {
            string[] cells =
            [
                box.Id, box.Run is null ? "" : wide ? box.Run : Format.ShortId(box.Run), box.Provider, Format.Word(box.State), Format.Bytes(box.MemoryBytes),
                Format.Duration(TimeSpan.FromSeconds(box.CpuSeconds)), box.Processes.ToString(CultureInfo.InvariantCulture), Format.Duration(now - box.Made),
                box.Origin is { } origin ? origin.Snapshot ?? origin.Box : "",
            ];
            return wide ? [.. cells, box.Epoch.ToString(CultureInfo.InvariantCulture), box.Image] : cells;
        }));
    }

    private static Command Remove(Shell shell)
    {
        var name = new Argument<string>("BOX|SNAPSHOT") { Description = "A box: its id, its run's, or the beginning of either; or a snapshot: its id or the beginning of it" };
        var command = new Command("rm", "End a box, whose run gets another one at its next step that needs it; or remove a snapshot") { name };
        shell.Bind(command, async context =>
        {
            var given = context.Get(name);
            await (SandboxSnapshotCommands.IsSnapshot(given) ? context.Client.RemoveSnapshotAsync(given, context.Interrupted) : context.Client.RemoveSandboxAsync(given, context.Interrupted));
            context.Progress($"{PlainText.Line(given)} is gone");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Pool(Shell shell)
    {
        var command = new Command("pool", "Show the boxes that stand ready, and who waits for room");
        shell.Bind(command, async context =>
        {
            var view = await context.Client.GetSandboxPoolAsync(context.Interrupted);
            if (context.IsJson)
            {
                context.Json(view, SandboxJson.Default.SandboxPoolView);
                return ExitCodes.Ok;
            }

            context.Table.Pairs([("kept ready of each sort", view.Size.ToString(CultureInfo.InvariantCulture)), ("runs that wait for room", view.Waiting.ToString(CultureInfo.InvariantCulture))]);
            if (view.Shelves.Count > 0)
                context.Table.Rows(["PROVIDER", "IMAGE", "DISK", "READY"], view.Shelves.Select(shelf => new[]
                {
                    shelf.Provider, shelf.Image.Length > ShortId ? shelf.Image[..ShortId] : shelf.Image, Format.Bytes(shelf.DiskBytes), shelf.Ready.ToString(CultureInfo.InvariantCulture),
                }));
            return ExitCodes.Ok;
        });
        return command;
    }

    /// <summary>For commands that pass on another command's exit code: what is ours has a code of its own.</summary>
    internal static Func<CommandContext, Task<int>> PassingOn(Func<CommandContext, Task<int>> act) => async context =>
    {
        try
        {
            return await act(context);
        }
        catch (Client.ApiException e)
        {
            return context.Fail(ExitCodes.NoCommand, e.Problem);
        }
        catch (Client.ServerUnreachableException e)
        {
            return context.Fail(ExitCodes.NoCommand, new Problem("server unreachable", 0, ErrorCodes.ServerUnreachable, $"{e.Message}: a command that ran is killed; start a server with 'caisson dev' or 'caisson serve', or name one with --server"));
        }
    };
}
