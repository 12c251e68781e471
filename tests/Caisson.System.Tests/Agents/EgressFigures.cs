using System.Diagnostics;
using System.Globalization;
using Caisson.Client;
using Caisson.Gateway.Tests.Egress;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>
/// `make bench-boxes`: what passes a box's wall in a second, and what the wall adds to a small request. The floor is the same
/// curl on the host, straight at the same server. Only printed: a figure of a busy machine must fail nothing.
/// </summary>
public sealed class EgressFigures(ITestOutputHelper output)
{
    private const int Rounds = 5, Small = 200, Mebibytes = 256;

    [Fact(Explicit = true, Timeout = 600_000)]
    public async Task Bytes_and_small_requests_through_each_way_out()
    {
        await using var plain = new Origin(respond: Respond);
        await using var tunnelled = new Origin("localhost", Respond);
        await using var opened = new Origin("localhost", Respond);
        using var folder = new Folder();
        var trusted = folder.Write("ca.pem", TestAuthority.Certificate.ExportCertificatePem());
        (string Name, string Host, string Box)[] ways =
        [
            ("HTTP through the proxy", $"http://localhost:{plain.Port}", $"--noproxy '' http://localhost:{plain.Port}"),
            ("HTTPS in a tunnel", $"-k https://localhost:{tunnelled.Port}", $"-k --noproxy '' https://localhost:{tunnelled.Port}"),
            ("HTTPS, opened and looked at", $"-k https://localhost:{opened.Port}", $"--noproxy '' https://localhost:{opened.Port}"),
            ("a granted service", $"http://localhost:{plain.Port}", "http://127.0.0.1:5432"),
        ];
        var commands = ways.SelectMany(w => Enumerable.Repeat(Large(w.Box), Rounds).Append(Many(w.Box))).ToList();
        var script = $"scripts:\n  - model: fetcher\n    turns:\n      - say: I fetch.\n        call:\n{string.Concat(commands.Select(c => $"          - {{ name: shell, arguments: {{ command: \"{c.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\" }} }}\n"))}      - say: Done.\n";
        await using var server = await ServerProcess.StartAsync(script: script, more: $"""
            [egress]
            allow_private = "127.0.0.1:{plain.Port}, [::1]:{plain.Port}, 127.0.0.1:{tunnelled.Port}, [::1]:{tunnelled.Port}, 127.0.0.1:{opened.Port}, [::1]:{opened.Port}"
            trusted_file = "{trusted}"
            [services.db]
            address = "127.0.0.1:{plain.Port}"
            """);
        var rules = $"  - {{ host: localhost, port: {plain.Port}, mode: http }}\n  - {{ host: localhost, port: {tunnelled.Port} }}\n  - {{ host: localhost, port: {opened.Port}, methods: [GET] }}\n";
        var id = await server.CreateAsync(ServerProcess.ManifestOf("fetcher", $"  tools: [shell]\nsandbox: {{ memory: 256MiB, disk: 32MiB }}\negress:\n{rules}egress_bytes: 100GiB\nservices: [{{ name: db, port: 5432 }}]\n"));

        var results = new List<string>();
        await foreach (var entry in server.Client.FollowAsync(id, new FollowOptions { Payloads = true }, TestContext.Current.CancellationToken))
        {
            if (entry.Kind == "paused")
                break;
            if (entry.Kind == "step_completed" && entry.Body.GetProperty("step").GetProperty("kind").GetString() == "tool")
                results.Add(entry.Result!.Value.GetProperty("text").GetString()!);
        }

        Assert.Equal(commands.Count, results.Count);
        foreach (var (way, at) in ways.Select((w, i) => (w, i * (Rounds + 1))))
        {
            var floor = new List<double>();
            for (var i = 0; i < Rounds; i++)
                floor.Add(Numbers(await OnHostAsync(Large(way.Host))).Single());
            var small = Numbers(await OnHostAsync(Many(way.Host)));
            var box = results.Skip(at).Take(Rounds).Select(r => Numbers(r).Single()).ToList();
            var boxSmall = Numbers(results[at + Rounds]);
            Assert.Equal((Small, Small), (small.Count, boxSmall.Count));
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{way.Name,-30} {Mega(box)} of {Mega(floor)} MB/s on the host = {Median(box) / Median(floor):0.00} ×; small request p50 {1000 * Median(boxSmall):0.00} ms, on the host {1000 * Median(small):0.00} ms"));
        }
    }

    private static string Large(string target) => $"curl -sS -o /dev/null -w '%{{speed_download}}\\n' {target}/large";

    /// <summary>One connection; the first request, which makes it, is one of them.</summary>
    private static string Many(string target) => $"curl -sS -w '%{{time_total}}\\n' {target}/[1-{Small}]";

    private static IEnumerable<string> Respond(OriginRequest request)
    {
        var large = request.Line.Contains("/large", StringComparison.Ordinal);
        return large
            ? Enumerable.Repeat(new string('x', 1 << 20), Mebibytes).Prepend($"HTTP/1.1 200 OK\r\nContent-Length: {(long)Mebibytes << 20}\r\n\r\n")
            : ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"];
    }

    private static async Task<string> OnHostAsync(string command)
    {
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", command]) { RedirectStandardOutput = true })!;
        var text = await shell.StandardOutput.ReadToEndAsync();
        await shell.WaitForExitAsync();
        Assert.Equal(0, shell.ExitCode);
        return text;
    }

    private static List<double> Numbers(string text) =>
        [.. text.Split('\n').Where(l => l.Length > 0 && !l.StartsWith('[')).Select(l => double.Parse(l, CultureInfo.InvariantCulture))];

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static string Mega(List<double> speeds) =>
        string.Create(CultureInfo.InvariantCulture, $"{Median(speeds) / 1e6:0} [{speeds.Min() / 1e6:0}–{speeds.Max() / 1e6:0}]");
}
