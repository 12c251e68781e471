using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>A provider of virtual machines and one that tests share. Emulated ones start slowly, so there are few.</summary>
public sealed class Machines : IAsyncLifetime
{
    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("caisson-machines-").FullName;

    public BoxProvider Provider { get; private set; } = null!;

    public ISandbox Shared { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Provider = NewProvider(Directory, new FileBlobStore(Path.Combine(Directory, "blobs"), new byte[32]));
        Shared = await CreateAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Provider.DisposeAsync();
        var left = await Provider.ListResidueAsync(default);
        System.IO.Directory.Delete(Directory, recursive: true);
        Assert.Empty(left);
    }

    public static BoxProvider NewProvider(string directory, FileBlobStore blobs) => BoxProvider.MicroVm(new BoxHost(
        new SandboxOptions { StateDirectory = Path.Combine(directory, "state"), GuestPath = Boxes.Guest, StartTimeout = TimeSpan.FromSeconds(60) },
        blobs, TimeProvider.System, NullLogger.Instance), ownsHost: true);

    public Task<ISandbox> CreateAsync(SandboxSettings? limits = null, WorkspaceRoot? workspace = null) =>
        CreateAsync(new SandboxSpec(default, 1, limits ?? new SandboxSettings(), workspace));

    public async Task<ISandbox> CreateAsync(SandboxSpec spec)
    {
        var outcome = await Provider.CreateAsync(spec, default);
        Assert.True(outcome is SandboxCreateOutcome.Started, outcome.ToString());
        return ((SandboxCreateOutcome.Started)outcome).Sandbox;
    }
}

[CollectionDefinition(nameof(Machines))]
public sealed class MachinesCollection : ICollectionFixture<Machines>;
