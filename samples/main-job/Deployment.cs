using System.Diagnostics;
using System.Globalization;
using Caisson.Client;

namespace MainJob;

/// <summary>The real programs: a scripted model behind HTTP, and a supervised server that uses it.</summary>
internal sealed class Deployment : IAsyncDisposable
{
    private readonly Process _model;
    private readonly Process _supervisor;
    private readonly HttpClient _http;

    private Deployment(Process model, Process supervisor, Uri address)
    {
        (_model, _supervisor) = (model, supervisor);
        _http = new HttpClient { BaseAddress = address, Timeout = Timeout.InfiniteTimeSpan };
        Client = new CaissonClient(_http, TimeProvider.System);
        Address = address;
    }

    internal CaissonClient Client { get; }

    internal Uri Address { get; }

    internal static async Task<Deployment> StartAsync(string caisson, World world, string models)
    {
        var model = Start(caisson, ["mock-model", models, "--listen", "127.0.0.1:0", "--log", world.ModelLog], []);
        var modelAddress = await AddressAsync(model.StandardOutput, "mock-model");
        _ = model.StandardError.ReadToEndAsync();
        var config = Path.Combine(world.Root, "caisson.toml");
        await File.WriteAllTextAsync(config, $$"""
            [server]
            listen = "127.0.0.1:0"
            [data]
            directory = "{{world.Data}}"
            [providers.demo]
            base_url = "{{new Uri(modelAddress, "v1")}}"
            [providers.demo.prices."*"]
            input = 1.00
            output = 2.00
            """);
        var supervisor = Start(caisson, ["serve", "--supervise", "--config", config], new() { ["CAISSON_DEMO_SECRET"] = world.EnvironmentSecret });
        var address = await AddressAsync(supervisor.StandardError, "server");
        _ = PumpAsync(supervisor.StandardError);
        return new Deployment(model, supervisor, address);
    }

    /// <summary>The process that does the work: the supervisor's only child.</summary>
    internal int ServerPid() =>
        Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(n => int.TryParse(n, CultureInfo.InvariantCulture, out _))
            .Select(n => int.Parse(n!, CultureInfo.InvariantCulture)).FirstOrDefault(pid => ParentOf(pid) == _supervisor.Id && CommandOf(pid) == "caisson");

    /// <summary>Ends the server in an orderly way and answers the exit code.</summary>
    internal async Task<int> StopAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", _supervisor.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
        await _supervisor.WaitForExitAsync();
        return _supervisor.ExitCode;
    }

    private static Process Start(string program, IEnumerable<string> arguments, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        return Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
    }

    /// <summary>Each program announces where it listens.</summary>
    private static async Task<Uri> AddressAsync(StreamReader output, string what)
    {
        var said = new List<string>();
        while (await output.ReadLineAsync() is { } line)
        {
            said.Add(line);
            if (line.Split(' ').FirstOrDefault(word => word.StartsWith("http://127.0.0.1:", StringComparison.Ordinal)) is { } address)
                return new Uri(address.TrimEnd('/', ',', ')') + "/");
        }

        throw new InvalidOperationException($"the {what} ended before it listened: {string.Join(" | ", said)}");
    }

    private static async Task PumpAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.Length > 0)
                Console.WriteLine("      server: " + line);
        }
    }

    private static int ParentOf(int pid) => Stat(pid) is [_, var parent, ..] && int.TryParse(parent, CultureInfo.InvariantCulture, out var id) ? id : 0;

    private static string[] Stat(int pid)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{pid}/stat");
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string CommandOf(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in new[] { _supervisor, _model })
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        _http.Dispose();
    }
}
