using System.Collections.Concurrent;
using System.Text;
using Caisson.Core.Agents;
using Caisson.Core.Blobs;
using Caisson.Core.Egress;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Processes;
using Caisson.Core.Sandboxes;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>One folder, and one server after the other on it.</summary>
public abstract class EngineTestBase : IAsyncLifetime
{
    private readonly TempFolder _folder = new();
    private readonly List<TestServer> _servers = [];

    private protected const string Manifest = "name: test\ncode: test\n";

    /// <summary>Which step bodies ran, in order.</summary>
    private protected ConcurrentQueue<string> Executed { get; } = new();

    private protected string Folder => _folder.Path;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
            await server.DisposeAsync();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected async Task<TestServer> StartAsync(Func<IRunContext, Task<string>>? agent = null, TimeProvider? clock = null, IModels? models = null, Random? random = null, EngineOptions? options = null, bool signals = true, Func<TestServer, Task>? before = null, AgentBuilds? builds = null, Func<IBlobStore, IBlobStore>? blobs = null, IReadOnlyList<ISandboxProvider>? sandboxes = null, IBoxEgress? egress = null, IProcessGateway? processes = null)
    {
        var server = new TestServer(Folder, clock, models, random, options, signals, builds, blobs, sandboxes, egress, processes);
        _servers.Add(server);
        if (agent is not null)
            server.Register("test", agent);
        if (before is not null)
            await before(server);
        await server.StartAsync();
        return server;
    }

    /// <summary>A step that notes its execution and answers its name.</summary>
    private protected Task StepAsync(IRunContext context, string name, Func<CancellationToken, Task>? body = null) =>
        context.StepAsync(name, async step =>
        {
            Executed.Enqueue(name);
            if (body is not null)
                await body(step.Cancellation);
            return $"result of {name}";
        }, new StepOptions<string> { Arguments = name });

    /// <summary>Steps a, b, c … in order; the one with a gate waits there.</summary>
    private protected Func<IRunContext, Task<string>> Steps(int count, string? gated = null, Gate? gate = null) => async context =>
    {
        for (var i = 0; i < count; i++)
        {
            var name = ((char)('a' + i)).ToString();
            await StepAsync(context, name, name == gated ? cancellation => gate!.PassAsync(cancellation) : null);
        }

        return "done";
    };
}
