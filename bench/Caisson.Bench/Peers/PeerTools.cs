using System.Diagnostics;
using System.Text.Json;

namespace Caisson.Bench.Peers;

/// <summary>What <c>bench/peers/setup</c> installed.</summary>
internal sealed class PeerTools(string folder)
{
    internal ProcessStartInfo Node(string worker)
    {
        var start = new ProcessStartInfo(OwnNode() ?? "node", [Path.Combine(folder, worker)]) { WorkingDirectory = folder };
        start.Environment["NODE_ENV"] = "production";
        start.Environment["RESTATE_LOGGING"] = "ERROR";
        return start;
    }

    // The peers' libraries want a newer one than many distributions have.
    private string? OwnNode() =>
        Directory.GetDirectories(Path.Combine(folder, "node_modules"), "node-linux-*").Select(package => Path.Combine(package, "bin", "node")).FirstOrDefault(File.Exists);

    internal ProcessStartInfo Restate(string data)
    {
        var program = Directory.GetDirectories(Path.Combine(folder, "node_modules", "@restatedev"), "restate-server-*").Single();
        var start = new ProcessStartInfo(Path.Combine(program, "bin", "restate-server"),
            ["--base-dir", Path.Combine(data, "data"), "--no-logo", "--node-name", "n1", "--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1", "--listen-mode", "tcp"])
        {
            WorkingDirectory = data,
        };
        start.Environment["RESTATE_DISABLE_TELEMETRY"] = "true";
        start.Environment["RESTATE_LOG_FILTER"] = "off";
        return start;
    }

    internal string Version(string package)
    {
        using var description = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "node_modules", package, "package.json")));
        return description.RootElement.GetProperty("version").GetString()!;
    }

    /// <summary>What is missing, for people; <c>null</c> when everything is there.</summary>
    internal string? Missing() =>
        !Directory.Exists(Path.Combine(folder, "node_modules")) ? $"{folder} holds no packages: run bench/peers/setup"
        : PostgresServer.Programs.Length == 0 ? "no PostgreSQL server programs were found: install the package postgresql"
        : null;
}
