using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace MainJob;

/// <summary>
/// The host as the demo sees it: a folder of its own, secrets and files that no agent may reach, and a service on
/// loopback that no agent may call. What was reached is counted here, on the host, not asked of the product.
/// </summary>
internal sealed class World : IAsyncDisposable
{
    private static readonly string[] Watched = ["/etc", "/usr/bin", "/usr/lib", "/opt", "/srv"];

    private readonly TcpListener _service = new(IPAddress.Loopback, 0);
    private readonly Dictionary<string, string> _before;
    private readonly Task _accepting;
    private int _callers;

    internal World()
    {
        Root = Directory.CreateTempSubdirectory("caisson-demo-").FullName;
        Canaries = Path.Combine(Root, "precious");
        Directory.CreateDirectory(Canaries);
        SecretFile = Path.Combine(Canaries, "id_ed25519");
        FileSecret = Secret();
        EnvironmentSecret = Secret();
        File.WriteAllText(SecretFile, FileSecret);
        for (var i = 0; i < 20; i++)
            File.WriteAllText(Path.Combine(Canaries, $"photo-{i}.jpg"), Secret());
        _service.Start();
        _accepting = AcceptAsync();
        _before = Fingerprint();
    }

    internal string Root { get; }
    internal string Canaries { get; }
    internal string SecretFile { get; }

    /// <summary>In a file that only the host has.</summary>
    internal string FileSecret { get; }

    /// <summary>In the server's environment, where a provider's key would be.</summary>
    internal string EnvironmentSecret { get; }

    internal int ServicePort => ((IPEndPoint)_service.LocalEndpoint).Port;

    internal int Callers => Volatile.Read(ref _callers);

    internal string Data => Path.Combine(Root, "data");

    internal string ModelLog => Path.Combine(Root, "model-requests.jsonl");

    /// <summary>Shows that the counter counts: without it, zero callers would prove nothing.</summary>
    internal async Task<bool> ServiceAnswersAsync()
    {
        var before = Callers;
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, ServicePort);
        await client.GetStream().ReadExactlyAsync(new byte[1]);
        return Interlocked.Add(ref _callers, -1) == before;
    }

    /// <summary>Files that were changed, added or removed since the start.</summary>
    internal int Touched()
    {
        var after = Fingerprint();
        return _before.Count(f => !after.TryGetValue(f.Key, out var now) || now != f.Value) + after.Keys.Count(f => !_before.ContainsKey(f));
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                using var caller = await _service.AcceptTcpClientAsync();
                Interlocked.Increment(ref _callers);
                await caller.GetStream().WriteAsync(new byte[] { 1 });
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private Dictionary<string, string> Fingerprint()
    {
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(Canaries))
            files[file] = Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)));
        var options = new EnumerationOptions { IgnoreInaccessible = true, RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = FileAttributes.None };
        foreach (var folder in Watched.Where(Directory.Exists))
        {
            foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos("*", options))
                files[entry.FullName] = entry is FileInfo { LinkTarget: null } file ? $"{file.Length} {file.LastWriteTimeUtc.Ticks}" : entry.LinkTarget ?? "folder";
        }

        return files;
    }

    private static string Secret() => "caisson-canary-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    public async ValueTask DisposeAsync()
    {
        _service.Dispose();
        await _accepting;
        Directory.Delete(Root, recursive: true);
    }
}
