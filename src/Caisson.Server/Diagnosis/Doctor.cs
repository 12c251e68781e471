using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Server.Configuration;
using Caisson.Server.Hosting;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Server.Diagnosis;

/// <summary>Looks at everything that a server needs of its machine, by trying it where that changes nothing.</summary>
public sealed partial class Doctor(ServerOptions options, TimeProvider clock, IIdSource ids)
{
    private const string Setup = "run scripts/setup as root: it installs runsc and builds the guest agent";
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan OldRelease = TimeSpan.FromDays(3 * 365);

    public async Task<DoctorReport> ExamineAsync(CancellationToken cancellationToken)
    {
        var findings = new List<Finding> { System(), User(), Cgroups(), LoopDevices() };
        findings.AddRange(await SandboxesAsync(cancellationToken));
        findings.AddRange(await StorageAsync());
        findings.AddRange(Providers());
        findings.Add(await PortAsync(cancellationToken));
        return new DoctorReport(1, findings);
    }

    private static Finding System() => OperatingSystem.IsLinux()
        ? Finding.Ok("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}, {Environment.ProcessorCount} cores")
        : Finding.Fail("system", RuntimeInformation.OSDescription, "sandboxes need Linux: run the server there; this command line works as its client");

    private static Finding User() => Environment.IsPrivilegedProcess
        ? Finding.Ok("user", "root")
        : Finding.Warn("user", Environment.UserName, "run the server as root: limits of memory and processes, and loop workspaces, need it");

    private static Finding Cgroups()
    {
        if (File.Exists("/sys/fs/cgroup/cgroup.controllers"))
            return Finding.Ok("cgroups", $"version 2 ({File.ReadAllText("/sys/fs/cgroup/cgroup.controllers").Trim()})");
        string[] needed = ["memory", "cpu", "pids", "freezer"];
        var missing = needed.Where(c => !Directory.Exists($"/sys/fs/cgroup/{c}")).ToArray();
        return missing.Length == 0
            ? Finding.Ok("cgroups", "version 1")
            : Finding.Fail("cgroups", $"no {string.Join(", ", missing)}", "mount the cgroup file system: boxes have no limits without it");
    }

    private static Finding LoopDevices() => File.Exists("/dev/loop-control")
        ? Finding.Ok("loop devices", "/dev/loop-control")
        : Finding.Fail("loop devices", "no /dev/loop-control", "load the module 'loop', or give the container the device: workspaces are loop images");

    /// <summary>Starts a real box of each kind, in a folder of its own so that a running server's boxes are left alone.</summary>
    private async Task<IReadOnlyList<Finding>> SandboxesAsync(CancellationToken cancellationToken)
    {
        var folder = Path.Combine(Path.GetTempPath(), $"caisson-doctor-{ids.NextRandom():N}"[..24]);
        try
        {
            Directory.CreateDirectory(folder);
            var sandbox = new SandboxOptions { StateDirectory = Path.Combine(folder, "boxes"), RunscPath = options.Sandbox.Runsc, GuestPath = options.Sandbox.GuestAgent, BwrapPath = options.Sandbox.Bwrap };
            await using var host = new BoxHost(sandbox, new FileBlobStore(Path.Combine(folder, "blobs"), new byte[32]), clock, NullLogger.Instance);
            var kinds = new List<(BoxProvider Kind, SandboxProbe Probe, TimeSpan Took)>();
            foreach (var kind in SandboxKinds.On(host))
            {
                var began = clock.GetTimestamp();
                kinds.Add((kind, await ProbeAsync(kind, cancellationToken), clock.GetElapsedTime(began)));
            }

            // What most agents ask for is there: then a kind that is not is no trouble.
            var enough = kinds.Any(k => k.Probe.Offered && k.Kind.Tier >= new SandboxSettings().Isolation);
            return
            [
                .. kinds.Select(k => KindFinding(k.Kind, k.Probe, k.Took, enough)),
                .. kinds.Any(k => k.Probe.Offered) ? [Finding.Ok("guest agent", $"{PathOf("caisson-guest", options.Sandbox.GuestAgent)} answers")] : Array.Empty<Finding>(),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [Finding.Fail("sandbox", e.Message, Setup)];
        }
        finally
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<SandboxProbe> ProbeAsync(BoxProvider kind, CancellationToken cancellationToken)
    {
        try
        {
            return await kind.ProbeAsync(cancellationToken).WaitAsync(ProbeLimit, clock, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or TimeoutException)
        {
            return new SandboxProbe(false, e.Message, Setup);
        }
    }

    private Finding KindFinding(BoxProvider kind, SandboxProbe probe, TimeSpan took, bool enough)
    {
        var check = $"sandbox {kind.Name}";
        var tier = $"tier {Words.Of(kind.Tier)}";
        if (!probe.Offered)
            return enough ? Finding.Note(check, $"{tier}; not offered: {probe.Detail}", probe.Remedy ?? Setup) : Finding.Fail(check, $"{tier}; not offered: {probe.Detail}", probe.Remedy ?? Setup);
        var text = string.Create(CultureInfo.InvariantCulture, $"{tier}; {probe.Detail}; a box started and ran in {took.TotalMilliseconds:0} ms");
        if (Release().Match(probe.Detail) is { Success: true } match
            && DateOnly.TryParseExact(match.Value, "yyyyMMdd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date))
        {
            var age = clock.GetUtcNow() - new DateTimeOffset(date, TimeOnly.MinValue, TimeSpan.Zero);
            text = string.Create(CultureInfo.InvariantCulture, $"{text}; {age.TotalDays / 365:0.0} years old");
            if (age > OldRelease)
                return Finding.Warn(check, text, "take a newer one: an old one lacks fixes, and commands that newer programs need");
        }

        return Finding.Ok(check, text);
    }

    /// <summary>Where the sandboxes take a program from: as configured, the tools folder, the PATH.</summary>
    private static string PathOf(string program, string? configured) =>
        configured ?? (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Prepend(SandboxOptions.ToolsDirectory)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists) ?? program;

    private async Task<IReadOnlyList<Finding>> StorageAsync()
    {
        var path = options.DataDirectory;
        var existing = path;
        while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { Length: > 0 } parent)
            existing = parent;
        List<Finding> disk = [DiskProbe.Sync(existing, clock, ids), DiskProbe.Free(existing)];
        if (!Directory.Exists(path))
            return [.. disk, Finding.Ok("data directory", $"{path} will be made by the server")];
        if (DiskProbe.IsHeld(Path.Combine(path, "lock")))
            return [.. disk, Finding.Ok("data directory", $"{path} is in use by a running server")];
        disk.Add(Finding.Ok("data directory", path));
        if (!File.Exists(Path.Combine(path, "caisson.db")))
            return disk;
        switch (SqliteStore.Open(new SqliteOptions { DataDirectory = path }, clock, NullLogger.Instance))
        {
            case SqliteOpenOutcome.Opened opened:
                await opened.Store.DisposeAsync();
                return [.. disk, Finding.Ok("database", "opens")];
            case SqliteOpenOutcome.Refused refused:
                return [.. disk, Finding.Fail("database", refused.Failure.Message, $"see docs/errors/{refused.Failure.Code}.md")];
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private IEnumerable<Finding> Providers()
    {
        if (options.Providers.Count == 0)
            yield return Finding.Warn("providers", "none is configured", "add [providers.NAME] with base_url and api_key_env to caisson.toml; 'caisson dev' brings a scripted model");
        foreach (var provider in options.Providers)
        {
            var check = $"provider {provider.Name}";
            if (provider.ApiKeyEnvironment is not { } variable)
                yield return Finding.Ok(check, provider.ApiKey is null ? "without a key" : "with a key from the configuration");
            else if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(variable)))
                yield return Finding.Fail(check, $"{variable} is not set", $"put the key into the environment variable {variable} of the server");
            else
                yield return Finding.Ok(check, $"key in {variable}");
        }
    }

    private async Task<Finding> PortAsync(CancellationToken cancellationToken)
    {
        if (options.Listen.Port == 0)
            return Finding.Ok("port", "any free one");
        using var socket = new Socket(options.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(options.Listen);
            return Finding.Ok("port", $"{options.Listen} is free");
        }
        catch (SocketException)
        {
            using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(3) };
            try
            {
                using var answer = await http.GetAsync(new Uri($"http://{options.Listen}/healthz"), cancellationToken);
                if (answer.IsSuccessStatusCode && answer.Headers.Contains("X-Content-Type-Options"))
                    return Finding.Ok("port", $"a server answers on {options.Listen}");
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
            {
                // Something else holds the port.
            }

            return Finding.Fail("port", $"{options.Listen} is taken by another program", "choose another with --listen or server.listen");
        }
    }

    [GeneratedRegex(@"20\d{6}")]
    private static partial Regex Release();
}
