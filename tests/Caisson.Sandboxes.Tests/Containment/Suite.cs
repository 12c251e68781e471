using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests.Containment;

/// <summary>All probes against one kind of box, once. Answers what each of them saw.</summary>
internal static class Suite
{
    private const string Secret = "do-not-leak-9c1f";
    private const string Through = "through";

    /// <summary>What a kernel without a thing answers.</summary>
    private static readonly string[] Lacks = ["ENOSYS", "ENOENT", "EAFNOSUPPORT", "ENODEV", "ENXIO", "EOPNOTSUPP", "EPROTONOSUPPORT"];

    public static IEnumerable<Probe> All => [.. Attacks.All, .. Harms.All];

    public static async Task<IReadOnlyDictionary<string, string>> RunAsync(Boxes boxes)
    {
        var seen = new Dictionary<string, string>();
        await AttackAsync(boxes, seen);
        foreach (var harm in Harms.All)
            seen[harm.Name] = await JudgeAsync(harm, boxes);
        return seen;
    }

    private static async Task<string> JudgeAsync(Harm harm, Boxes boxes)
    {
        try
        {
            return await harm.RunAsync(boxes);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // One probe that goes wrong is one failed test, not all of them.
            return e.Message.ReplaceLineEndings(" ");
        }
    }

    private static async Task AttackAsync(Boxes boxes, Dictionary<string, string> seen)
    {
        Environment.SetEnvironmentVariable("CAISSON_TEST_SECRET", Secret);
        using var canary = new TcpListener(IPAddress.Loopback, 0);
        canary.Start();
        var name = $"caisson-canary-{Environment.ProcessId}-{boxes.Kind}";
        using var local = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        local.Bind(new UnixDomainSocketEndPoint("\0" + name));
        local.Listen();
        var words = new (string Word, string Text)[]
        {
            ("CANARY", boxes.Canary),
            ("STATE", boxes.State),
            ("PORT", ((IPEndPoint)canary.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture)),
            ("NAME", name),
            ("PROGRAM", "Caisson.Sandboxes.Tests"),
            ("SECRET", Secret),
            ("RELEASE", (await File.ReadAllTextAsync("/proc/sys/kernel/osrelease")).Trim()),
            ("MEMORY", (await File.ReadAllLinesAsync("/proc/meminfo"))[0]),
        };
        string Fill(string script) => words.Aggregate(script, (text, w) => text.Replace(w.Word, w.Text, StringComparison.Ordinal));

        var attacks = Attacks.All;
        var inside = await InBoxAsync(boxes.Shared, [.. attacks.Select(a => Fill(a.Script)), .. attacks.Select(a => Fill(a.InBox ?? "pass"))]);
        var arrived = canary.Pending();
        var outside = await OnHostAsync(boxes.Directory, [.. attacks.Select(a => Fill(a.InBox is null ? a.OnHost ?? a.Script : "pass"))]);
        for (var i = 0; i < attacks.Count; i++)
        {
            var (attack, answer, control, host) = (attacks[i], inside[i], inside[attacks.Count + i], outside[i]);
            seen[attack.Name] =
                control != Through ? $"its control in the box: {control}"
                : host != Through && !(attack.MayLack && Lacks.Contains(host)) ? $"its control on the host: {host}"
                : answer == Through ? Attack.Open
                : answer.StartsWith("mistake", StringComparison.Ordinal) ? answer
                : Attack.Refused;
        }

        if (arrived)
            seen[attacks.First(a => a.Script.Contains("PORT", StringComparison.Ordinal)).Name] = Attack.Open;
    }

    private static async Task<string[]> InBoxAsync(ISandbox box, string[] scripts)
    {
        await box.WriteFileAsync("probes/runner.py", await File.ReadAllBytesAsync(Runner), default);
        await box.WriteFileAsync("probes/list.json", JsonSerializer.SerializeToUtf8Bytes(scripts), default);
        var exited = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync("cd probes && python3 runner.py list.json", TimeSpan.FromMinutes(2)));
        Assert.True(exited.ExitCode == 0, exited.Error.Text());
        await box.MustAsync("chmod -R u+rwX probes; rm -rf probes");
        return JsonSerializer.Deserialize<string[]>(exited.Output.Text())!;
    }

    private static async Task<string[]> OnHostAsync(string directory, string[] scripts)
    {
        var list = Path.Combine(directory, "controls.json");
        await File.WriteAllBytesAsync(list, JsonSerializer.SerializeToUtf8Bytes(scripts));
        using var process = Process.Start(new ProcessStartInfo("python3", [Runner, list]) { WorkingDirectory = directory, RedirectStandardOutput = true })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return JsonSerializer.Deserialize<string[]>(output)!;
    }

    private static string Runner => Path.Combine(AppContext.BaseDirectory, "Containment", "runner.py");
}
