using System.Diagnostics;

namespace Caisson.System.Tests.Clients;

/// <summary>The image with Node, the real clients and the agents that use them, as <c>tests/clients/install</c> makes it.</summary>
internal static class ClientImage
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    internal static readonly string Repository = FindRoot();

    internal static async Task<string> FolderAsync()
    {
        var start = new ProcessStartInfo(Path.Combine(Repository, "tests/clients/install")) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var install = Process.Start(start) ?? throw new InvalidOperationException("tests/clients/install did not start");
        var output = install.StandardOutput.ReadToEndAsync();
        var error = install.StandardError.ReadToEndAsync();
        await install.WaitForExitAsync().WaitAsync(Patience, TimeProvider.System);
        Assert.True(install.ExitCode == 0, await error);
        return (await output).Trim();
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Caisson.slnx")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"no folder above {AppContext.BaseDirectory} holds Caisson.slnx");
    }
}
