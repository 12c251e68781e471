using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Caisson.Bench.Host;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Workloads;

/// <summary>
/// What the gateway adds to a program's model calls: the same client, the same provider in this process, once straight
/// and once by the gateway, with a hold reserved and the call journaled in two synced writes. Once more with the data
/// directory in memory: what is left then is not the disk's.
/// </summary>
internal static class GatewayWorkload
{
    // The provider's time keeps the load below what two cores can do at all: 1,000 callers would else only wait for each other.
    private static readonly (int Callers, int Calls, TimeSpan Delay)[] Loads =
    [
        (1, 500, TimeSpan.Zero),
        (16, 40, TimeSpan.FromMilliseconds(50)),
        (64, 15, TimeSpan.FromMilliseconds(200)),
        (1_000, 3, TimeSpan.FromSeconds(3)),
    ];

    private const int Streams = 200;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(20);

    internal static async Task MeasureAsync(Round round)
    {
        await using var model = await FixedModel.StartAsync();
        var straight = new Dictionary<int, Times>();
        foreach (var load in Loads)
            straight[load.Callers] = await LoadAsync(model.Base, model, load, stream: false);
        await ByGatewayAsync(round.Folder(), model, async gateway =>
        {
            foreach (var load in Loads)
            {
                var times = await LoadAsync(gateway, model, load, stream: false);
                var (p50, p99) = (times.Median - straight[load.Callers].Median, times.P99 - straight[load.Callers].P99);
                var few = load.Callers <= 16;
                round.Add(new Figure(Text($"gateway, {load.Callers} caller{(load.Callers == 1 ? "" : "s")}: added latency p50"), "0.00", "ms", few ? Text($"≤ 1 ms + 2 syncs") : ""), p50);
                if (few)
                    round.Add(new Figure(Text($"… of it beside 2 syncs ({load.Callers})"), "0.00", "ms", "≤ 1 ms"), p50 - 2 * round.Floor.SyncP50);
                round.Add(new Figure(Text($"… p99 ({load.Callers})"), "0.00", "ms", few ? "≤ 3 ms + 2 × the sync's p99" : ""), p99);
                if (few)
                    round.Add(new Figure(Text($"… of it beside 2 × the sync's p99 ({load.Callers})"), "0.00", "ms", "≤ 3 ms"), p99 - 2 * round.Floor.SyncP99);
            }
        });

        // One caller, no disk.
        var memory = Directory.CreateDirectory(Path.Combine("/dev/shm", $"caisson-bench-{Environment.ProcessId}")).FullName;
        try
        {
            await ByGatewayAsync(memory, model, async gateway =>
            {
                var times = await LoadAsync(gateway, model, Loads[0], stream: false);
                round.Add(new Figure("gateway, 1 caller, data directory in memory: added latency p50", "0.00", "ms"), times.Median - straight[1].Median);
            });
        }
        finally
        {
            Directory.Delete(memory, recursive: true);
        }

        await StreamsAsync(round, model);
    }

    private static async Task StreamsAsync(Round round, FixedModel model)
    {
        model.Pace = Pace;
        var load = (Callers: 16, Calls: 6, Delay: TimeSpan.FromMilliseconds(20));
        var straight = await LoadAsync(model.Base, model, load, stream: true);
        await ByGatewayAsync(round.Folder(), model, async gateway =>
        {
            var times = await LoadAsync(gateway, model, load, stream: true);
            round.Add(new Figure(Text($"gateway, {load.Callers} streams: added time to the first byte p50"), "0.00", "ms"), times.Median - straight.Median);

            // How many run at once on a core: their processor time against the time that they take.
            var meter = new Meter();
            await LoadAsync(gateway, model, (Streams, 1, load.Delay), stream: true);
            var (_, cpu) = meter.Read();
            var each = FixedModel.Pieces * Pace;
            round.Add(new Figure(Text($"{Streams} streams of {FixedModel.Pieces} pieces, {Pace.TotalMilliseconds:0} ms apart: streams a core (client and provider on it too)"), "0"), Streams * each / cpu);
        });
        model.Pace = TimeSpan.Zero;
    }

    /// <summary>Runs a process agent whose program is <paramref name="program"/>.</summary>
    private static async Task ByGatewayAsync(string folder, FixedModel model, Func<Uri, Task> program)
    {
        await using var bench = await BenchEngine.OpenProcessAsync(folder, model.Base, port => program(new Uri($"http://127.0.0.1:{port}/v1/")));
        var ended = bench.Observed.WhenEnded(1);
        await bench.StartAsync();
        await bench.CreateProcessAsync();
        await ended;
    }

    private static async Task<Times> LoadAsync(Uri address, FixedModel model, (int Callers, int Calls, TimeSpan Delay) load, bool stream)
    {
        model.Delay = load.Delay;
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = load.Callers, UseProxy = false }) { BaseAddress = address };
        var times = new ConcurrentBag<double>();
        await Task.WhenAll(Enumerable.Range(0, load.Callers).Select(async caller =>
        {
            for (var i = 0; i < load.Calls; i++)
            {
                var body = Text($"{{\"model\":\"m\",\"max_tokens\":600,\"stream\":{(stream ? "true" : "false")},\"messages\":[{{\"role\":\"user\",\"content\":\"{Guid.NewGuid()}\"}}]}}");
                using var request = new HttpRequestMessage(HttpMethod.Post, "chat/completions") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
                var start = Stopwatch.GetTimestamp();
                using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
                response.EnsureSuccessStatusCode();
                await using var answer = await response.Content.ReadAsStreamAsync();
                var buffer = new byte[16 << 10];
                var first = await answer.ReadAsync(buffer);
                if (stream)
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                while (first > 0)
                    first = await answer.ReadAsync(buffer);

                // The first call of each caller opens its connection.
                if (!stream && (i > 0 || load.Calls == 1))
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
        }));
        return new Times(Statistics.Median(times), Statistics.Percentile(times, 0.99));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private sealed record Times(double Median, double P99);
}
