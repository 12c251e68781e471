using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Boxes;

/// <summary>A server with one run whose box has made its files and stands frozen: the model thinks for a long time.</summary>
public sealed class BoxServer : IAsyncLifetime
{
    internal const string Manifest = "  tools: [shell]\nsandbox: { memory: 256MiB, disk: 32MiB }\n";

    private const string Script = """
        scripts:
          - model: waiter
            turns:
              - { say: I make files., call: { name: shell, arguments: { command: "mkdir -p out/deep && echo report > out/report.md && printf '#!/bin/sh\necho ran\n' > out/deep/run.sh && chmod 755 out/deep/run.sh && ln -s report.md out/inner && ln -s /etc/passwd out/planted && ln -s ../.. out/upwards && ln -s deep out/way && touch \"$(printf 'out/new\\nline')\" \"$(printf 'out/bad\\377')\"" } } }
              - { say: Late., delay: 10m }
          - model: goer
            turns:
              - { say: I begin., call: { name: shell, arguments: { command: "echo begun > begun.txt" } } }
              - { say: I go on., delay: 6s, call: { name: shell, arguments: { command: "cat begun.txt" } } }
              - say: Done.
        """;

    internal ServerProcess Server { get; private set; } = null!;

    /// <summary>Of the run whose box the tests share.</summary>
    internal string Run { get; private set; } = null!;

    internal string Box { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Server = await ServerProcess.StartAsync(script: Script, more: "[sandbox]\npool = 1\n");
        (Run, Box) = await StartAsync("waiter");
    }

    /// <summary>Starts a run and waits until its first tool call is over and its box rests.</summary>
    internal async Task<(string Run, string Box)> StartAsync(string model)
    {
        var run = await Server.CreateAsync(ServerProcess.ManifestOf(model, Manifest));
        await Until.AsyncValue("the first tool call", () => Server.Client.GetRunAsync(run, CancellationToken.None), view => view.ToolCalls >= 1);
        return (run, (await RestingAsync(run)).Id);
    }

    internal Task<SandboxView> RestingAsync(string run) => Until.AsyncValue("the box at rest", async () =>
        (await Server.Client.ListSandboxesAsync(CancellationToken.None)).Sandboxes.FirstOrDefault(b => b.Run == run)!, box => box?.State == SandboxState.Frozen);

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

[CollectionDefinition(nameof(BoxServer))]
public sealed class BoxServerCollection : ICollectionFixture<BoxServer>;
