using Caisson.Sandboxes.Reaping;

namespace Caisson.Sandboxes.Boxes;

/// <summary>The folder of one box on the host. Ids are random and never used again, so a folder is not either.</summary>
internal sealed class BoxFolder(string boxes, string id)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(2);

    public string Id => id;

    public string Path { get; } = System.IO.Path.Combine(boxes, id);

    /// <summary>The OCI bundle.</summary>
    public string Configuration => $"{Path}/config.json";

    public string Intent => $"{Path}/intent.json";

    public string Sockets => $"{Path}/io";

    /// <summary>Files for everybody in the box, at <see cref="Images.BoxImage.FilesInside"/>.</summary>
    public string Files => $"{Path}/files";

    public string Image => $"{Path}/workspace.ext4";

    /// <summary>Where the image is mounted, in the launcher's mount namespace only.</summary>
    public string Mount => $"{Path}/mnt";

    /// <summary>The workspace is a folder below the mount: the file system's own lost+found stays outside.</summary>
    public string Workspace => $"{Mount}/w";

    public string RunscState => $"{Path}/runsc";

    public void Create()
    {
        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(Mount);
        Directory.CreateDirectory(RunscState);
        Directory.CreateDirectory(Files);
    }

    /// <summary>Writes the files of a box whole, each in its turn, so that a program sees an old or a new one.</summary>
    public void WriteFiles(IReadOnlyDictionary<string, ReadOnlyMemory<byte>> files)
    {
        foreach (var (name, content) in files)
        {
            var file = System.IO.Path.Combine(Files, System.IO.Path.GetFileName(name));
            File.WriteAllBytes($"{file}.new", content.Span);
            File.SetUnixFileMode($"{file}.new", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
            File.Move($"{file}.new", file, overwrite: true);
        }
    }

    /// <summary>Removes it once no loop device holds the image any more. Answers what would not go in time.</summary>
    public async Task<IReadOnlyList<string>> RemoveAsync(TimeSpan limit, TimeProvider time)
    {
        var start = time.GetTimestamp();
        while (LoopDevices.Below(Path).Count > 0)
        {
            if (time.GetElapsedTime(start) > limit)
                return [.. LoopDevices.Below(Path).Select(d => d.Device)];
            await Task.Delay(Poll, time);
        }

        if (Directory.Exists(Path))
            Directory.Delete(Path, recursive: true);
        return [];
    }
}
