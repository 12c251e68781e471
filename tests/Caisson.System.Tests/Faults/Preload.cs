using System.Diagnostics;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Faults;

/// <summary>A small library that stands between a server under test and its C library.</summary>
internal static class Preload
{
    /// <summary>Compiles it into the folder and answers the setting that loads it.</summary>
    internal static (string Name, string Value) Build(Folder folder, string source)
    {
        var library = Path.Combine(folder.Path, Path.ChangeExtension(source, ".so"));
        using var compiler = Process.Start(new ProcessStartInfo("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, Path.Combine(AppContext.BaseDirectory, "Faults", source)]) { RedirectStandardError = true })!;
        var error = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        Assert.True(compiler.ExitCode == 0, $"{source}: {error}");
        return ("LD_PRELOAD", library);
    }
}
