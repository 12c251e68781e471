using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.MicroVm;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>A provider of virtual machines and one that tests share. Emulated ones start slowly, so there are few.</summary>
public sealed class Machines : IAsyncLifetime
{
    private readonly string? _missing = MachineTools.Find(new SandboxOptions { StateDirectory = "" }).Missing;
    private BoxProvider? _provider;
    private ISandbox? _shared;

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("caisson-machines-").FullName;

    /// <summary>Machines are optional: where they cannot be had, whoever asks is skipped.</summary>
    public BoxProvider Provider
    {
        get
        {
            Skip();
            return _provider!;
        }
    }

    public ISandbox Shared
    {
        get
        {
            Skip();
            return _shared!;
        }
    }

    public async ValueTask InitializeAsync()
    {
        if (_missing is not null)
            return;
        _provider = NewProvider(Directory, new FileBlobStore(Path.Combine(Directory, "blobs"), new byte[32]));
        _shared = await CreateAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_provider is null)
            return;
        await _provider.DisposeAsync();
        var left = await _provider.ListResidueAsync(default);
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

    private void Skip()
    {
        if (_missing is not null)
            Assert.Skip(_missing);
    }
}

[CollectionDefinition(nameof(Machines))]
public sealed class MachinesCollection : ICollectionFixture<Machines>;
