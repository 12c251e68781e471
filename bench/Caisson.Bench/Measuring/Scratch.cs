namespace Caisson.Bench.Measuring;

/// <summary>A folder that is gone when it is no longer needed, also after an interrupt.</summary>
internal sealed class Scratch : IDisposable
{
    private static readonly Lock Gate = new();
    private static readonly List<Scratch> Open = [];

    private Scratch(string path)
    {
        Path = path;
        lock (Gate)
            Open.Add(this);
    }

    internal string Path { get; }

    /// <summary>Within the checkout's folder for what is built.</summary>
    internal static Scratch InArtifacts() =>
        new(Directory.CreateDirectory(System.IO.Path.Combine(Environment.CurrentDirectory, "artifacts", "bench", $"{Environment.ProcessId}")).FullName);

    /// <summary>Where other users of this machine can reach it too.</summary>
    internal static Scratch InTemporary() => new(Directory.CreateTempSubdirectory("caisson-bench-").FullName);

    internal static void DeleteAll()
    {
        lock (Gate)
            Open.ForEach(scratch => scratch.Delete());
    }

    public void Dispose()
    {
        lock (Gate)
        {
            Open.Remove(this);
            Delete();
        }
    }

    private void Delete()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"bench: {Path} could not be removed: {problem.Message}");
        }
    }
}
