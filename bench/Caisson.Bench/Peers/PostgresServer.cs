using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Peers;

/// <summary>
/// A PostgreSQL of this machine's packages on a fresh data folder, on the loopback interface. It refuses to run as
/// root, so under root it runs as the user <c>postgres</c>.
/// </summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(50);

    private readonly Process _process;

    private PostgresServer(Process process, int port) => (_process, Url) = (process, string.Create(CultureInfo.InvariantCulture, $"postgresql://postgres:none@127.0.0.1:{port}/postgres"));

    internal int Id => _process.Id;

    internal string Url { get; }

    internal static string Programs { get; } =
        (Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql") : [])
            .OrderByDescending(folder => int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var version) ? version : 0)
            .Select(folder => Path.Combine(folder, "bin"))
            .FirstOrDefault(folder => File.Exists(Path.Combine(folder, "initdb"))) ?? "";

    internal static async Task<PostgresServer> StartAsync(string folder)
    {
        if (Environment.IsPrivilegedProcess)
            await RunAsync(new ProcessStartInfo("chown", ["postgres", folder]));
        var data = Path.Combine(folder, "data");
        await RunAsync(AsOwner("initdb", folder, ["-D", data, "-A", "trust", "-U", "postgres", "--no-instructions"]));
        var port = FreePort();
        var process = Children.Start(AsOwner("postgres", folder,
            ["-D", data, "-p", port.ToString(CultureInfo.InvariantCulture), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "log_min_messages=fatal"]));
        var server = new PostgresServer(process, port);
        var start = Stopwatch.GetTimestamp();
        while (!await AnswersAsync(port))
        {
            if (process.HasExited || Stopwatch.GetElapsedTime(start) > StartWithin)
                throw new InvalidOperationException("PostgreSQL did not start");
            await Task.Delay(LookEvery);
        }

        return server;
    }

    internal static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task<bool> AnswersAsync(int port)
    {
        using var asked = Children.Start(new ProcessStartInfo(Path.Combine(Programs, "pg_isready"), ["-q", "-U", "postgres", "-h", "127.0.0.1", "-p", port.ToString(CultureInfo.InvariantCulture)]));
        await asked.WaitForExitAsync();
        var answers = asked.ExitCode == 0;
        Children.Forget(asked);
        return answers;
    }

    private static ProcessStartInfo AsOwner(string program, string folder, IEnumerable<string> arguments)
    {
        var path = Path.Combine(Programs, program);
        return Environment.IsPrivilegedProcess
            ? new ProcessStartInfo("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", path, .. arguments]) { WorkingDirectory = folder }
            : new ProcessStartInfo(path, arguments) { WorkingDirectory = folder };
    }

    private static async Task RunAsync(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        var process = Children.Start(start);
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        var code = process.ExitCode;
        Children.Forget(process);
        if (code != 0)
            throw new InvalidOperationException($"{start.FileName} {start.ArgumentList.LastOrDefault()} ended with exit code {code}");
    }

    // Its backends see that it is gone, and end.
    public async ValueTask DisposeAsync() => await Children.EndAsync(_process);
}
