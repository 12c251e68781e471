using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Clients;

/// <summary>A real PostgreSQL on loopback, with a data folder of its own. It refuses to run as root, so there it runs as nobody.</summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    internal const string User = "agent";

    private const string Nobody = "65534";

    private readonly Folder _folder = new();
    private Process? _process;
    private Task _pump = Task.CompletedTask;

    internal int Port { get; } = FreePort();

    internal static async Task<PostgresServer> StartAsync()
    {
        var server = new PostgresServer();
        try
        {
            await server.BeginAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private async Task BeginAsync()
    {
        var data = Path.Combine(_folder.Path, "data");
        if (Environment.IsPrivilegedProcess)
            await RunAsync(Start("chown", [$"{Nobody}:{Nobody}", _folder.Path]));
        await RunAsync(AsUser("initdb", ["-D", data, "-A", "trust", "-U", User, "-E", "UTF8", "--no-locale", "--no-sync"]));
        _process = AsUser("postgres", ["-D", data, "-p", Port.ToString(CultureInfo.InvariantCulture), "-c", "listen_addresses=127.0.0.1", "-c", $"unix_socket_directories={_folder.Path}", "-c", "fsync=off"]);
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _pump = PumpAsync(_process, ready);
        await ready.Task.WaitAsync(CaissonProgram.Patience, TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            // At once, without waiting for clients.
            Processes.Signal(process.Id, "QUIT");
            await process.WaitForExitAsync();
            await _pump;
            process.Dispose();
        }

        _folder.Dispose();
    }

    private static async Task PumpAsync(Process process, TaskCompletionSource ready)
    {
        var log = new List<string>();
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            log.Add(line);
            if (line.Contains("ready to accept connections", StringComparison.Ordinal))
                ready.TrySetResult();
        }

        ready.TrySetException(new InvalidOperationException($"postgres ended before it listened: {string.Join(" | ", log)}"));
    }

    private static Process AsUser(string program, IReadOnlyList<string> arguments) => Environment.IsPrivilegedProcess
        ? Start("setpriv", ["--reuid", Nobody, "--regid", Nobody, "--clear-groups", Find(program), .. arguments])
        : Start(Find(program), arguments);

    private static Process Start(string program, IReadOnlyList<string> arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = Path.GetTempPath() })
        ?? throw new InvalidOperationException($"{program} did not start");

    private static async Task RunAsync(Process process)
    {
        using (process)
        {
            var output = process.StandardOutput.ReadToEndAsync();
            var error = await process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            Assert.True(process.ExitCode == 0, $"{await output}{error}");
        }
    }

    /// <summary>Debian keeps the server's programs out of the path, one folder for each version.</summary>
    private static string Find(string program)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
            .Concat(Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").OrderDescending(StringComparer.Ordinal).Select(d => Path.Combine(d, "bin")) : []);
        return folders.Select(f => Path.Combine(f, program)).FirstOrDefault(File.Exists) ?? throw new InvalidOperationException($"{program} is not here: scripts/setup tests");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
