using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Caisson.MockModel;
using Caisson.MockModel.Scripts;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Harness;

/// <summary>The real pipeline, the real mock server on a loopback socket, and a step log in memory.</summary>
internal sealed class Rig : IAsyncDisposable
{
    public const string Key = "sk-live-51HqXn-do-not-show-me-0123456789";

    private readonly string _logFile;

    private Rig(MockModelServer server, string logFile)
    {
        Server = server;
        _logFile = logFile;
        Clock = new FakeTimeProvider(new DateTimeOffset(2026, 8, 1, 12, 0, 0, TimeSpan.Zero));
        Log = new TestStepLog(Clock);
        Options = Provider(server.BaseUri.ToString());
    }

    public MockModelServer Server { get; }

    public FakeTimeProvider Clock { get; }

    public TestStepLog Log { get; set; }

    public ProviderOptions Options { get; }

    public static async Task<Rig> StartAsync(string script)
    {
        var logFile = Path.Combine(Path.GetTempPath(), $"caisson-mock-{Path.GetRandomFileName()}.jsonl");
        var server = await MockModelServer.StartAsync(new MockModelOptions { Script = Parse(script), LogFile = logFile });
        return new Rig(server, logFile);
    }

    public static MockScript Parse(string script) => MockScript.Parse(script, "script.yaml") switch
    {
        MockScriptOutcome.Parsed(var parsed) => parsed,
        MockScriptOutcome.Refused(var message) => throw new InvalidOperationException(message),
        _ => throw new InvalidOperationException(),
    };

    /// <summary>1 USD per million tokens of input, 10 of output: 1,000 and 10,000 nano-USD a token.</summary>
    public static ProviderOptions Provider(string url)
    {
        var options = new ProviderOptions { Name = "mock", BaseUrl = url, ApiKey = Key };
        options.Prices["m"] = new PriceOptions { Input = 1, Output = 10 };
        return options;
    }

    public static ModelRequest Request(params ModelMessage[] messages) => new(
        "mock/m", messages, [], $"id-{messages.Length}-{messages[^1].Text.GetHashCode(StringComparison.Ordinal).ToString(CultureInfo.InvariantCulture)}", null, null, new RetrySettings());

    public ModelCallPipeline Pipeline(HttpMessageHandler? handler = null, ILogger? logger = null) =>
        new([Options], PriceTable.Embedded, Clock, new Random(7), logger ?? NullLogger.Instance, handler);

    public async Task<ModelOutcome> AskAsync(ModelRequest? request = null, HttpMessageHandler? handler = null, ILogger? logger = null)
    {
        using var pipeline = Pipeline(handler, logger);
        return await pipeline.CallAsync(request ?? Request(ModelMessage.User("hello")), Log, CancellationToken.None);
    }

    public JsonElement[] LogLines()
    {
        using var stream = new FileStream(_logFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement.Clone()).ToArray();
    }

    /// <summary>Calls that a real provider would have billed.</summary>
    public int PaidCalls() => LogLines().Count(l => l.GetProperty("event").GetString() == "answered" && l.GetProperty("status").GetInt32() == 200);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        File.Delete(_logFile);
    }
}
