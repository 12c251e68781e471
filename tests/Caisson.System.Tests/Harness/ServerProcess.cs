using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.MockModel;
using Caisson.MockModel.Scripts;

namespace Caisson.System.Tests.Harness;

/// <summary>A real server on a free port, with a data directory of its own and a scripted model.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    /// <summary>No tools, so no box is needed: these tests are about the server and its commands.</summary>
    internal const string Manifest = "name: talker\nloop:\n  model: mock/quick\n  instructions: Answer.\n";

    internal static string ManifestOf(string model, string more = "") => $"name: {model}-agent\nloop:\n  model: mock/{model}\n  instructions: Answer.\n{more}";

    private const string Script = """
        scripts:
          - model: quick
            turns: [{ say: "You said: {{input}}" }]
          - model: evil
            turns: [{ say: "red \e[31m text\nsecond line" }]
          - model: slow
            turns: [{ say: "late", delay: 2s }]
          - model: never
            turns: [{ say: "too late", delay: 10m }]
          - model: broken
            turns: [{ say: "no", fail: { status: 400, times: forever } }]
          - model: shaky
            turns: [{ say: "at last", fail: { status: 500, times: 2 } }]
          - model: costly
            turns: [{ say: "expensive", usage: { output: 100 } }]
        """;

    /// <summary>More of the configuration: the scripted model as a provider of the other two wires.</summary>
    internal const string OtherWires = """
        [providers.messages]
        wire = "anthropic"
        base_url = "MODEL/v1"
        [providers.messages.prices."*"]
        input = 1.0
        output = 10.0
        [providers.contents]
        wire = "gemini"
        base_url = "MODEL/v1beta"
        [providers.contents.prices."*"]
        input = 1.0
        output = 10.0

        """;

    private const string ModelLog = "requests.jsonl";

    private readonly Folder _folder;
    private readonly MockModelServer _model;
    private readonly IReadOnlyList<string> _command;
    private readonly IReadOnlyDictionary<string, string>? _environment;
    private Process _process = null!;
    private HttpClient _http = null!;
    private Task _pump = Task.CompletedTask;

    private ServerProcess(Folder folder, MockModelServer model, IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment) =>
        (_folder, _model, _command, _environment) = (folder, model, command, environment);

    internal Uri Address { get; private set; } = null!;

    internal CaissonClient Client { get; private set; } = null!;

    internal HttpClient Http => _http;

    internal int Pid => _process.Id;

    internal Process Process => _process;

    internal required string Data { get; init; }

    internal Folder Folder => _folder;

    /// <summary>Lines of its stderr so far.</summary>
    internal ConcurrentQueue<string> Log { get; } = new();

    /// <param name="data">The data directory. Default: one in the folder.</param>
    /// <param name="more">More of the configuration; MODEL in it is the scripted model's address.</param>
    /// <param name="modelTime">Times the scripted model's answers.</param>
    internal static async Task<ServerProcess> StartAsync(bool supervise = false, string? script = null, string? data = null, string more = "", IReadOnlyDictionary<string, string>? environment = null, TimeProvider? modelTime = null)
    {
        var folder = new Folder();
        var turns = Assert.IsType<MockScriptOutcome.Parsed>(MockScript.Parse(script ?? Script, "script")).Script;
        var model = await MockModelServer.StartAsync(new MockModelOptions { Script = turns, LogFile = Path.Combine(folder.Path, ModelLog), Listen = new IPEndPoint(IPAddress.Loopback, 0), Time = modelTime ?? TimeProvider.System });
        data ??= Path.Combine(folder.Path, "data");
        var config = folder.Write("caisson.toml", $$"""
            [server]
            listen = "127.0.0.1:0"
            [data]
            directory = "{{data}}"
            {{more.Replace("MODEL", model.Root.ToString().TrimEnd('/'), StringComparison.Ordinal)}}
            [providers.mock]
            base_url = "{{model.BaseUri}}"
            [providers.mock.prices."*"]
            input = 1.0
            output = 10.0
            """);
        folder.Write("agent.yaml", Manifest);
        var server = new ServerProcess(folder, model, supervise ? ["serve", "--config", config, "--supervise"] : ["serve", "--config", config], environment) { Data = data };
        await server.LaunchAsync();
        return server;
    }

    /// <summary>Ends it with SIGKILL, and its supervised child with it.</summary>
    internal async Task KillAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        await _pump;
    }

    /// <summary>Starts it again on what it left; it may listen elsewhere.</summary>
    internal async Task LaunchAsync()
    {
        _process?.Dispose();
        _http?.Dispose();
        _process = CaissonProgram.Start(_command, _folder.Path, _environment);
        var address = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pump = PumpAsync(_process, Log, address);
        Address = await address.Task.WaitAsync(CaissonProgram.Patience, TimeProvider.System);
        _http = new HttpClient { BaseAddress = Address, Timeout = Timeout.InfiniteTimeSpan };
        Client = new CaissonClient(_http, TimeProvider.System);
    }

    /// <summary>Starts it on what it left and expects that it refuses.</summary>
    internal Task<Answer> LaunchRefusedAsync() => CaissonProgram.RunAsync(_command, directory: _folder.Path, environment: _environment);

    /// <summary>Step keys of a run's calls that the provider answered, by its own log: the idempotency key is RUN.STEP.</summary>
    internal IReadOnlyList<string> AnsweredCalls(string run) => Calls(run, "answered");

    /// <summary>Likewise those that it was asked for, answered or not.</summary>
    internal IReadOnlyList<string> AskedCalls(string run) => Calls(run, "request");

    private List<string> Calls(string run, string kind) =>
        [.. ModelEvents().Where(e => e.GetProperty("event").GetString() == kind).Select(e => e.GetProperty("idempotency_key").GetString()?.Split('.')).Where(k => k is [var of, _] && of == run).Select(k => k![1])];

    /// <summary>The provider's own log, whoever asked.</summary>
    internal IEnumerable<JsonElement> ModelEvents()
    {
        foreach (var line in File.ReadLines(Path.Combine(_folder.Path, ModelLog)))
        {
            using var entry = JsonDocument.Parse(line);
            yield return entry.RootElement.Clone();
        }
    }

    /// <summary>Runs a command of the client against this server.</summary>
    internal Task<Answer> RunAsync(params string[] arguments)
    {
        // What comes after '--' is another command's.
        var own = arguments.TakeWhile(argument => argument != "--").ToList();
        return CaissonProgram.RunAsync([.. own, "--server", Address.ToString(), .. arguments.Skip(own.Count)], directory: _folder.Path);
    }

    /// <summary>Starts a run and answers its id.</summary>
    internal async Task<string> CreateAsync(string manifest, string input = "hi") =>
        (await Client.CreateRunAsync(new(manifest, "agent.yaml", input), null, CancellationToken.None)).Run.Id;

    /// <summary>Asks until there is an answer: the server may be between two lives.</summary>
    internal Task<T> AskAsync<T>(Func<CaissonClient, Task<T>> ask) => Client.RetryAsync(_ => ask(Client), CaissonProgram.Patience, CancellationToken.None);

    /// <summary>The run, once it has ended or stands paused.</summary>
    internal Task<RunView> EndedAsync(string run, TimeSpan? patience = null) =>
        Until.AsyncValue($"run {run} comes to rest", () => AskAsync(client => client.GetRunAsync(run, CancellationToken.None)), view => view.Status.IsFinal() || view.Status == RunStatus.Paused, patience);

    /// <summary>
    /// Kills a run's program with SIGKILL, and nothing else. Its box goes at once where nothing is under way, and may take
    /// this command's end with it; the journal has the proof, once nothing of the program is under way.
    /// </summary>
    internal async Task KillProgramAsync(string run, params string[] killer)
    {
        var box = (await Client.ListSandboxesAsync(CancellationToken.None)).Sandboxes.Single(b => b.Run == run);
        var killed = await RunAsync(["sandbox", "exec", box.Id, "--", .. killer]);
        Assert.True(killed.Exit == 0 || killed.Error.Contains("destroyed", StringComparison.Ordinal), $"{run}: {killed.Out}{killed.Error}");
    }

    /// <summary>No journal has a finding.</summary>
    internal async Task AssertSoundAsync()
    {
        var verify = await RunAsync("journal", "--verify", "--all");
        Assert.True(verify.Exit == 0, $"{verify.Out}{verify.Error}");
    }

    /// <summary>The process that serves: the supervisor's child, or the one that was started.</summary>
    internal async Task<int> ServerPidAsync() => (await Until.AsyncValue("the supervisor's child", () => Task.FromResult(Processes.ChildrenOf(Pid)), c => c.Count == 1))[0];

    internal async Task<int> StopAsync()
    {
        Processes.Signal(Pid, "TERM");
        await _process.WaitForExitAsync().WaitAsync(CaissonProgram.Patience, TimeProvider.System);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _http.Dispose();
        _process.Dispose();
        await _model.DisposeAsync();
        _folder.Dispose();
    }

    private static async Task PumpAsync(Process process, ConcurrentQueue<string> log, TaskCompletionSource<Uri> address)
    {
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            log.Enqueue(line);
            if (line.Split(' ', ',').FirstOrDefault(word => word.StartsWith("http://", StringComparison.Ordinal)) is { } url)
                address.TrySetResult(new Uri(url + "/"));
        }

        address.TrySetException(new InvalidOperationException($"the server ended before it listened: {string.Join(" | ", log)}"));
    }
}

/// <summary>One server for the tests that do it no harm.</summary>
public sealed class SharedServer : IAsyncLifetime
{
    internal ServerProcess Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await ServerProcess.StartAsync();

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

[CollectionDefinition(nameof(SharedServer))]
public sealed class SharedServerCollection : ICollectionFixture<SharedServer>;
