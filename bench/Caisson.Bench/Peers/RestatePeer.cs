using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Peers;

/// <summary>
/// Restate: one server with one worker, which serves the agent. Runs are started through the server's ingress, as its
/// documentation says; this program is the caller, and its own time does not count. The server takes its usual ports
/// (8080, 9070, 5122) on the loopback interface.
/// </summary>
internal sealed class RestatePeer : IPeer
{
    private const string Ingress = "http://127.0.0.1:8080";
    private const string Admin = "http://127.0.0.1:9070";
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(50);

    private readonly Process _server;
    private readonly LineWorker _worker;
    private readonly HttpClient _http;

    private RestatePeer(Process server, LineWorker worker, HttpClient http) => (_server, _worker, _http) = (server, worker, http);

    public IReadOnlyList<int> Processes => [_server.Id, _worker.Id];

    internal static async Task<IPeer> StartAsync(string folder, PeerTools tools)
    {
        var http = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        var server = Children.Start(tools.Restate(folder));
        LineWorker? worker = null;
        try
        {
            await UntilAsync(server, async () => (await http.GetAsync($"{Admin}/health")).IsSuccessStatusCode);
            var port = PostgresServer.FreePort();
            var start = tools.Node("restate.mjs");
            start.Environment["PORT"] = port.ToString(CultureInfo.InvariantCulture);
            worker = await LineWorker.StartAsync(start);
            await UntilAsync(server, async () => (await http.PostAsJsonAsync($"{Admin}/deployments", new { uri = $"http://127.0.0.1:{port}", force = true })).IsSuccessStatusCode);
            return new RestatePeer(server, worker, http);
        }
        catch
        {
            if (worker is not null)
                await worker.DisposeAsync();
            await Children.EndAsync(server);
            http.Dispose();
            throw;
        }
    }

    public async Task<PeerAnswer> RunAsync(int runs, int steps, int toolMs)
    {
        await _worker.AskAsync("gaps");
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, runs).Select(async _ =>
        {
            using var answer = await _http.PostAsJsonAsync($"{Ingress}/agent/run", new { steps, toolMs });
            answer.EnsureSuccessStatusCode();
        }));
        var wall = Stopwatch.GetElapsedTime(start);
        return PeerAnswer.Parse($"0 {await _worker.AskAsync("gaps")}") with { Wall = wall };
    }

    private static async Task UntilAsync(Process server, Func<Task<bool>> done)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                if (await done())
                    return;
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }

            if (server.HasExited || Stopwatch.GetElapsedTime(start) > StartWithin)
                throw new InvalidOperationException("Restate did not start; its ports 8080, 9070 and 5122 must be free");
            await Task.Delay(LookEvery);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _worker.DisposeAsync();
        await Children.EndAsync(_server);
    }
}
