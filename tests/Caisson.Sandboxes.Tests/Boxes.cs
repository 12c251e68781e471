using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests;

/// <summary>A provider of real boxes in a folder of its own, and one box that tests share which leave it as it was.</summary>
public sealed class Boxes : IAsyncLifetime
{
    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("caisson-sandboxes-").FullName;

    public BoxProvider Provider { get; private set; } = null!;

    public FileBlobStore Blobs { get; private set; } = null!;

    public ISandbox Shared { get; private set; } = null!;

    public static string Guest => Path.Combine(AppContext.BaseDirectory, "caisson-guest");

    public async ValueTask InitializeAsync()
    {
        Blobs = new FileBlobStore(Path.Combine(Directory, "blobs"), new byte[32]);
        Provider = NewProvider(Directory, Blobs);
        Shared = await CreateAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Provider.DisposeAsync();
        var left = await Provider.ListResidueAsync(default);
        System.IO.Directory.Delete(Directory, recursive: true);
        Assert.Empty(left);
    }

    public static BoxProvider NewProvider(string directory, FileBlobStore blobs) => BoxProvider.GVisor(new BoxHost(
        new SandboxOptions { StateDirectory = Path.Combine(directory, "state"), GuestPath = Guest }, blobs, TimeProvider.System, NullLogger.Instance), ownsHost: true);

    public Task<ISandbox> CreateAsync(SandboxSettings? limits = null, WorkspaceRoot? workspace = null) =>
        CreateAsync(new SandboxSpec(default, 1, limits ?? new SandboxSettings(), workspace));

    public async Task<ISandbox> CreateAsync(SandboxSpec spec)
    {
        var outcome = await Provider.CreateAsync(spec, default);
        return Assert.IsType<SandboxCreateOutcome.Started>(outcome).Sandbox;
    }
}

[CollectionDefinition(nameof(Boxes))]
public sealed class BoxesCollection : ICollectionFixture<Boxes>;

internal static class BoxExtensions
{
    public static ExecRequest Shell(string script, TimeSpan? timeout = null, string input = "", int maxOutput = 1 << 20, string? directory = null) => new(
        ["/bin/sh", "-c", script], directory, new Dictionary<string, string>(), Encoding.UTF8.GetBytes(input), timeout ?? TimeSpan.FromSeconds(20), maxOutput);

    public static Task<ExecOutcome> RunAsync(this ISandbox box, string script, TimeSpan? timeout = null, string input = "") =>
        box.ExecAsync(Shell(script, timeout, input), default);

    /// <summary>Runs a script that must succeed; answers what it wrote, without the last line's end.</summary>
    public static async Task<string> MustAsync(this ISandbox box, string script, [CallerArgumentExpression(nameof(script))] string? what = null)
    {
        var exited = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync(script));
        Assert.True(exited.ExitCode == 0, $"{what}: exit {exited.ExitCode}: {Text(exited.Output)} {Text(exited.Error)}");
        return Text(exited.Output).TrimEnd('\n');
    }

    public static string Text(this BoundedOutput output) => Encoding.UTF8.GetString(output.Head.Span) + Encoding.UTF8.GetString(output.Tail.Span);

    public static async Task<WorkspaceRoot> SavedAsync(this ISandbox box)
    {
        var saved = Assert.IsType<WorkspaceSaveOutcome.Saved>(await box.SaveWorkspaceAsync(default));
        await box.ThawAsync(default);
        return saved.Root;
    }
}

internal static class Eventually
{
    /// <summary>Waits until the condition holds. A failure says what was waited for and what was last seen.</summary>
    public static async Task<T> SeesAsync<T>(Func<Task<T>> look, Func<T, bool> condition, TimeSpan? limit = null, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        var end = TimeProvider.System.GetTimestamp() + (limit ?? TimeSpan.FromSeconds(15)).Ticks * TimeProvider.System.TimestampFrequency / TimeSpan.TicksPerSecond;
        while (true)
        {
            var seen = await look();
            if (condition(seen))
                return seen;
            Assert.True(TimeProvider.System.GetTimestamp() < end, $"{what} did not come true; last seen: {seen}");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        }
    }
}
