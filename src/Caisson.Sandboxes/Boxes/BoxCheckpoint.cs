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
    public string Path { get; } = System.IO.Path.Combine(checkpoints, id);

    public string State => System.IO.Path.Combine(Path, "state");

    public string Disk => System.IO.Path.Combine(Path, "workspace.ext4");

    private string NoteFile => System.IO.Path.Combine(Path, "note.json");

    public void Create()
    {
        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(State);
    }

    public SandboxCheckpoint Conclude(Box box, string version, IReadOnlyList<StreamTicket> commands)
    {
        var bytes = Directory.EnumerateFiles(State).Sum(f => new FileInfo(f).Length) + Native.Libc.AllocatedBytes(Disk);
        File.WriteAllBytes(NoteFile, JsonSerializer.SerializeToUtf8Bytes(new CheckpointNote(commands), CheckpointJson.Default.CheckpointNote));
        return new SandboxCheckpoint(id, box.Kind, version, box.Image, box.Spec.Limits.DiskBytes, [.. commands.Select(c => c.Id)], bytes);
    }

    /// <summary>The tokens that its commands come back with; <c>null</c> where there is no whole checkpoint.</summary>
    public IReadOnlyList<StreamTicket>? Commands() =>
        File.Exists(NoteFile) ? JsonSerializer.Deserialize(File.ReadAllBytes(NoteFile), CheckpointJson.Default.CheckpointNote)?.Commands : null;

    public void Delete()
    {
        if (Directory.Exists(Path))
            Directory.Delete(Path, recursive: true);
    }
}

internal sealed record CheckpointNote(IReadOnlyList<StreamTicket> Commands);

[JsonSerializable(typeof(CheckpointNote))]
internal sealed partial class CheckpointJson : JsonSerializerContext;
