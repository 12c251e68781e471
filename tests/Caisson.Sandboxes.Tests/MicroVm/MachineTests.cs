using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests.MicroVm;

[Collection(nameof(Machines))]
public sealed class MachineTests(Machines machines)
{
    [Fact]
    public async Task A_machine_runs_commands()
    {
        var said = await machines.Shared.MustAsync("id -u; uname -r; ls -la / /workspace; cat /proc/mounts; ps aux; free -m; dmesg | tail -3; pwd");

        TestContext.Current.TestOutputHelper!.WriteLine(said);
        Assert.StartsWith("10001", said, StringComparison.Ordinal);
    }
}
