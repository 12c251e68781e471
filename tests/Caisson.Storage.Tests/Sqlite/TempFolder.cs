using Caisson.Core;

namespace Caisson.Storage.Tests.Sqlite;

/// <summary>A folder of its own, gone with the test.</summary>
internal sealed class TempFolder : IDisposable
{
    internal TempFolder()
    {
        Path = global::System.IO.Path.Combine(global::System.IO.Path.GetTempPath(), "caisson-storage-tests", new SystemIds(TimeProvider.System).NextRandom().ToString("N"));
        Directory.CreateDirectory(Path);
    }

    internal string Path { get; }

    internal string this[string name] => global::System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
