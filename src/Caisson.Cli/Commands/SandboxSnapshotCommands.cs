using System.CommandLine;
using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson sandbox snapshot | snapshots | fork</c>: boxes kept, and boxes that go on from what was kept.</summary>
internal static class SandboxSnapshotCommands
{
    internal static bool IsSnapshot(string name) => name.StartsWith(SandboxSnapshots.Prefix, StringComparison.OrdinalIgnoreCase);

    internal static Command Take(Shell shell)
    {
        var box = SandboxCommands.Box();
        var live = new Option<bool>("--live") { Description = "Processes and memory as well, to fork from; the box stands still meanwhile" };
        var command = new Command("snapshot", "Keep a box's workspace as it is now, and print the snapshot's id") { box, live };
        shell.Bind(command, async context =>
        {
            var view = await context.Client.SnapshotSandboxAsync(context.Get(box), context.Get(live), context.Interrupted);
            if (context.IsJson)
                context.Json(view, SandboxJson.Default.SandboxSnapshotView);
            else
                context.Terminal.WriteLine(view.Id);
            return ExitCodes.Ok;
        });
        return command;
    }

    internal static Command List(Shell shell)
    {
        var command = new Command("snapshots", "List snapshots of boxes, oldest first");
        shell.Bind(command, async context =>
        {
            var view = await context.Client.ListSnapshotsAsync(context.Interrupted);
            if (context.IsJson)
                context.Json(view, SandboxJson.Default.SandboxSnapshotsView);
            else if (view.Snapshots.Count == 0)
                context.Progress("there is no snapshot");
            else
                Draw(context, view.Snapshots);
            return ExitCodes.Ok;
        });
        return command;
    }

    internal static Command Fork(Shell shell)
    {
        var from = new Argument<string>("SNAPSHOT|BOX") { Description = "A live snapshot or a box, or the beginning of its id" };
        var command = new Command("fork", "Start a box whose processes go on where those of a live snapshot or a box stand, and print its id") { from };
        shell.Bind(command, async context =>
        {
            var name = context.Get(from);
            var view = await (IsSnapshot(name) ? context.Client.ForkSnapshotAsync(name, context.Interrupted) : context.Client.ForkSandboxAsync(name, context.Interrupted));
            if (context.IsJson)
                context.Json(view, SandboxJson.Default.SandboxView);
            else
                context.Terminal.WriteLine(view.Id);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void Draw(CommandContext context, IReadOnlyList<SandboxSnapshotView> snapshots)
    {
        var wide = context.Format == OutputFormat.Wide;
        var now = context.Shell.Clock.GetUtcNow();
        string[] columns = ["SNAPSHOT", "HOLDS", "BOX", "RUN", "SIZE", "AGE"];
        context.Table.Rows(wide ? [.. columns, "SEQ", "ROOT"] : columns, snapshots.Select(s =>
        {
            string[] cells =
            [
                s.Id, s.Live ? "processes" : "files", s.Box, s.Run is null ? "" : wide ? s.Run : Format.ShortId(s.Run), s.Bytes is { } bytes ? Format.Bytes(bytes) : "", Format.Duration(now - s.Made),
            ];
            return wide ? [.. cells, s.Seq.ToString(CultureInfo.InvariantCulture), s.Root ?? ""] : cells;
        }));
    }
}
