using Caisson.Contracts;
using Caisson.Core.Processes;
using Caisson.Gateway.Egress;
using Microsoft.Extensions.Logging;

namespace Caisson.Gateway.Mcp;

/// <summary>The servers that one ownership of a run may call.</summary>
internal sealed class McpServers : IAsyncDisposable
{
    private readonly Dictionary<string, McpServer> _servers;

    public McpServers(IProcessRun run, EgressGate gate, ILoggerFactory logs)
    {
        _servers = (run.Manifest.Mcp ?? []).ToDictionary(s => s.Name, s => new McpServer(s, run, gate.Clock, (isAtWork, cancellation) => s.Url is null
            ? McpLink.StartAsync(s, run.Tools, isAtWork, gate.Clock, logs, cancellation)
            : McpHttp.ConnectAsync(s, gate, run.Tools, run.Manifest.EgressBytes, isAtWork, logs, cancellation)), StringComparer.Ordinal);
    }

    public IReadOnlyCollection<string> Names => _servers.Keys;

    public McpServer? Find(string name) => _servers.GetValueOrDefault(name);

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values)
            await server.DisposeAsync();
    }
}

/// <summary>How often one start of a program has asked for the same: its nth call is answered by the nth record.</summary>
internal sealed class McpCounts
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _next = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SortedSet<int>> _back = new(StringComparer.Ordinal);

    public int Take(string identity)
    {
        lock (_lock)
        {
            if (_back.TryGetValue(identity, out var back) && back.Count > 0)
            {
                var first = back.Min;
                back.Remove(first);
                return first;
            }

            var nth = _next.GetValueOrDefault(identity);
            _next[identity] = nth + 1;
            return nth;
        }
    }

    /// <summary>The client went away before there was an answer: whoever asks the same again gets it.</summary>
    public void GiveBack(string identity, int nth)
    {
        lock (_lock)
        {
            if (!_back.TryGetValue(identity, out var back))
                _back[identity] = back = [];
            back.Add(nth);
        }
    }
}
