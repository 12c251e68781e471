using Caisson.Core.Egress;
using Caisson.Core.Processes;
using Caisson.Core.Sandboxes;

namespace Caisson.Gateway.Processes;

/// <summary>The ways in of one start of a program: one port on its loopback, and the variables by which clients find it.</summary>
internal sealed class ProcessStart : IBoxDoors, IBoxService
{
    /// <summary>On the box's loopback.</summary>
    public const int Port = 4180;

    /// <summary>Clients insist on a key; the real ones never enter a box.</summary>
    private const string Placeholder = "caisson";

    private readonly BoxListener _listener;
    private readonly CancellationTokenSource _end = new();

    public ProcessStart(ProcessCalls calls, IProcessSteps steps, BoxListener listener)
    {
        (Calls, Steps, _listener) = (calls, steps, listener);
        Pool = new ReplayPool(calls.Run.Recorded, calls.Run.Input);
        Forwards = [new BoxForward(Port, "gateway", this)];
    }

    public ProcessCalls Calls { get; }

    public IProcessSteps Steps { get; }

    public ReplayPool Pool { get; }

    public Mcp.McpCounts Mcp { get; } = new();

    public IReadOnlyList<BoxForward> Forwards { get; }

    public IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["CAISSON_URL"] = $"http://127.0.0.1:{Port}",
        ["OPENAI_BASE_URL"] = $"http://127.0.0.1:{Port}/v1",
        ["OPENAI_API_BASE"] = $"http://127.0.0.1:{Port}/v1",
        ["OPENAI_API_KEY"] = Placeholder,
        ["ANTHROPIC_BASE_URL"] = $"http://127.0.0.1:{Port}",
        ["ANTHROPIC_API_KEY"] = Placeholder,
        ["GOOGLE_GEMINI_BASE_URL"] = $"http://127.0.0.1:{Port}",
        ["GEMINI_API_KEY"] = Placeholder,
        ["GOOGLE_API_KEY"] = Placeholder,
    };

    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; } = new Dictionary<string, ReadOnlyMemory<byte>>();

    public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(_end.Token, cancellationToken);
        await _listener.ServeAsync(connection, this, both.Token);
    }

    public async ValueTask DisposeAsync() => await _end.CancelAsync();
}
