using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Protocol;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// A checkpoint's folder: what the kind wrote, the workspace's disk, and a note that is written last, so that a folder
/// with a note is whole. One without is what a crash left.
/// </summary>
internal sealed class CheckpointFolder(string checkpoints, string id)
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    public string Path { get; } = System.IO.Path.Combine(checkpoints, id);

    public string State => System.IO.Path.Combine(Path, "state");

    public string Disk => System.IO.Path.Combine(Path, "workspace.ext4");

    private string NoteFile => System.IO.Path.Combine(Path, "note.json");

    public void Create()
    {
        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(State);
    }

    public SandboxCheckpoint Conclude(Box box, CheckpointMark mark, string version, IReadOnlyList<StreamTicket> commands, SnapshotTag? snapshot = null)
    {
        var bytes = Directory.EnumerateFiles(State).Sum(f => new FileInfo(f).Length) + Native.Libc.AllocatedBytes(Disk);
        var checkpoint = new SandboxCheckpoint(id, box.Kind, version, box.Image, box.Spec.Limits.DiskBytes, [.. commands.Select(c => c.Id)], bytes) { Mark = mark };
        File.WriteAllBytes($"{NoteFile}.new", JsonSerializer.SerializeToUtf8Bytes(new CheckpointNote(checkpoint, commands) { Snapshot = snapshot }, CheckpointJson.Default.CheckpointNote));
        File.Move($"{NoteFile}.new", NoteFile);
        return checkpoint;
    }

    /// <summary><c>null</c> where there is no whole checkpoint.</summary>
    public CheckpointNote? Note()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(NoteFile), CheckpointJson.Default.CheckpointNote);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    /// <summary>At a server's start: what a crash left half-made, and what no run came back for in a long time.</summary>
    public static void Sweep(string checkpoints, DateTimeOffset now)
    {
        if (!Directory.Exists(checkpoints))
            return;
        foreach (var directory in Directory.EnumerateDirectories(checkpoints))
        {
            var folder = new CheckpointFolder(checkpoints, System.IO.Path.GetFileName(directory));
            if (folder.Note() is null || now - Directory.GetLastWriteTimeUtc(directory) > Kept)
                folder.Delete();
        }
    }

    /// <summary>At a server's start: what a crash left half-made, and copies that were for one fork only.</summary>
    public static void SweepSnapshots(string snapshots)
    {
        if (!Directory.Exists(snapshots))
            return;
        foreach (var directory in Directory.EnumerateDirectories(snapshots))
        {
            var folder = new CheckpointFolder(snapshots, System.IO.Path.GetFileName(directory));
            if (folder.Note() is not { Snapshot.Passing: false })
                folder.Delete();
        }
    }

    /// <summary>The note first: what a crash leaves is then no checkpoint any more.</summary>
    public void Delete()
    {
        if (!Directory.Exists(Path))
            return;
        File.Delete(NoteFile);
        Directory.Delete(Path, recursive: true);
    }
}

/// <param name="Commands">With the tokens that they come back with.</param>
internal sealed record CheckpointNote(SandboxCheckpoint Checkpoint, IReadOnlyList<StreamTicket> Commands)
{
    /// <summary>Where it is no run's, to wait with, but somebody's, to fork from.</summary>
    public SnapshotTag? Snapshot { get; init; }
}

/// <param name="Box">Which it is a copy of.</param>
/// <param name="Limits">Of that box, and of each that goes on from it.</param>
/// <param name="Passing">For one fork and not to be kept.</param>
internal sealed record SnapshotTag(string Box, SandboxSettings Limits, DateTimeOffset Made, bool Passing);

[JsonSerializable(typeof(CheckpointNote))]
internal sealed partial class CheckpointJson : JsonSerializerContext;
