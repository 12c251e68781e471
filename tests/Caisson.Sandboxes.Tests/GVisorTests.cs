using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Reaping;

namespace Caisson.Sandboxes.Tests;

public sealed class GVisorBoxes() : Boxes("gvisor");

[CollectionDefinition("gvisor")]
public sealed class GVisorCollection : ICollectionFixture<GVisorBoxes>;

[Collection("gvisor")]
public sealed class GVisorExecTests(GVisorBoxes boxes) : ExecTests(boxes);

[Collection("gvisor")]
public sealed class GVisorFileTests(GVisorBoxes boxes) : FileTests(boxes);

[Collection("gvisor")]
public sealed class GVisorForwardTests(GVisorBoxes boxes) : ForwardTests(boxes);

[Collection("gvisor")]
public sealed class GVisorLifeTests(GVisorBoxes boxes) : LifeTests(boxes);

[Collection("gvisor")]
public sealed class GVisorLimitTests(GVisorBoxes boxes) : LimitTests(boxes);

[Collection("gvisor")]
public sealed class GVisorProgramTests(GVisorBoxes boxes) : ProgramTests(boxes);

[Collection("gvisor")]
public sealed class GVisorTerminalTests(GVisorBoxes boxes) : TerminalTests(boxes);

[Collection("gvisor")]
public sealed class GVisorVisitTests(GVisorBoxes boxes) : VisitTests(boxes);

[Collection("gvisor")]
public sealed class GVisorWorkspaceTests(GVisorBoxes boxes) : WorkspaceTests(boxes);

[Collection("gvisor")]
public sealed class GVisorContainmentTests(GVisorBoxes boxes) : ContainmentTests(boxes);

/// <summary>What only gVisor has.</summary>
[Collection("gvisor")]
public sealed class GVisorTests(GVisorBoxes boxes)
{
    [Fact]
    public async Task The_probe_tells_the_platform() =>
        Assert.Contains("systrap", (await boxes.Provider.ProbeAsync(default)).Detail, StringComparison.Ordinal);

    [Theory]
    [InlineData(false, "65534")]
    [InlineData(true, "0")]
    public async Task Direct_files_decide_who_the_kernel_of_a_box_is_on_the_host(bool direct, string user)
    {
        var options = new SandboxOptions { StateDirectory = Path.Combine(boxes.Directory, $"direct-{direct}"), GuestPath = Boxes.Guest, DirectFiles = direct };
        await using var provider = boxes.Another(options);
        var box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null), default)).Sandbox;

        var kernel = HostProcesses.OfBoxes(options.StateDirectory).Single(p => p.Command.StartsWith("runsc-sandbox", StringComparison.Ordinal));
        var status = await File.ReadAllLinesAsync($"/proc/{kernel.Id}/status");

        Assert.Equal(user, status.Single(l => l.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1]);
        await box.MustAsync("echo same > both; mkdir folder; ln -s both link; cat link");
        Assert.Equal("same\n"u8.ToArray(), (await new Workspaces.WorkspaceStore(boxes.Blobs).ReadFileAsync(await box.SavedAsync(), "both", default))!.Value.ToArray());
    }
}
