using System.Diagnostics;
using System.Globalization;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.Safety;

/// <summary>A real file system of a few mebibytes, in memory, gone with the test.</summary>
internal sealed class SmallDisk : IDisposable
{
    private const string Filler = "filler";

    private readonly TempFolder _folder = new();

    internal SmallDisk(int mebibytes)
    {
        Run("mount", "-t", "tmpfs", "-o", string.Create(CultureInfo.InvariantCulture, $"size={mebibytes}m"), "tmpfs", Path);
    }

    /// <summary>Whether this process may mount; without that there is no small disk to test on.</summary>
    internal static bool CanBeHad { get; } = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;

    internal string Path => _folder.Path;

    internal string this[string name] => _folder[name];

    internal long Free => new DriveInfo(Path).AvailableFreeSpace;

    /// <summary>Takes space, as another program on the same disk would, until this much is free.</summary>
    internal void FillTo(long free)
    {
        using var file = new FileStream(this[Filler], FileMode.Append);
        file.Write(new byte[Free - free]);
    }

    internal void Clear() => File.Delete(this[Filler]);

    public void Dispose()
    {
        Run("umount", "-l", Path);
        _folder.Dispose();
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {error}");
    }
}
