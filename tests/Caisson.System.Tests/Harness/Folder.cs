namespace Caisson.System.Tests.Harness;

/// <summary>A temporary folder.</summary>
internal sealed class Folder : IDisposable
{
    // Short: sockets of boxes stand below it, and their paths have at most 107 bytes.
    internal string Path { get; } = Directory.CreateTempSubdirectory("cs-").FullName;

    internal string Write(string name, string content)
    {
        var path = global::System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, content);
        return path;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
