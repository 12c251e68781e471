using System.Globalization;
using Caisson.Bench.Host;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Peers;

/// <summary>Caisson in an application of its own: the engine is a library in the worker's process, and there is no server beside it.</summary>
internal sealed class CaissonPeer : IPeer
{
    private readonly LineWorker _worker;

    private CaissonPeer(LineWorker worker) => _worker = worker;

    public IReadOnlyList<int> Processes => [_worker.Id];

    internal static async Task<IPeer> StartAsync(string folder, PeerTools tools)
    {
        _ = tools;
        return new CaissonPeer(await LineWorker.StartAsync(Children.Self([PeerWorker.Verb, Path.Combine(folder, "data")])));
    }

    public async Task<PeerAnswer> RunAsync(int runs, int steps, int toolMs) =>
        PeerAnswer.Parse(await _worker.AskAsync(string.Create(CultureInfo.InvariantCulture, $"run {runs} {steps} {toolMs}")));

    public ValueTask DisposeAsync() => _worker.DisposeAsync();
}
