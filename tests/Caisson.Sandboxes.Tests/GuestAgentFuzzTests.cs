using System.Diagnostics;

namespace Caisson.Sandboxes.Tests;

/// <summary>The guest's half of the protocol, in C, under the sanitizers; see guest/fuzz/fuzz.c. `make fuzz` does it for longer.</summary>
public sealed class GuestAgentFuzzTests
{
    [Fact]
    public async Task The_guest_agent_stands_mutated_conversations()
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "guest-fuzz"), ["6"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System);
        await process.WaitForExitAsync();

        Assert.True(process.ExitCode == 0, output + await error);
        Assert.Contains(" branches", output, StringComparison.Ordinal);
    }
}
