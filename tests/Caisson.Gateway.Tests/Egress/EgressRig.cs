using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Manifests;
using Caisson.Core.Sandboxes;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Egress.Addresses;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Egress;

/// <summary>One box's wall on loopback: clients on one side, servers of this process on the other. Nothing else can be reached.</summary>
internal sealed class EgressRig : IAsyncDisposable
{
    public const string SecretValue = "s3cr3t/tok+en-Value";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly IBoxDoors _doors;
    private readonly List<Task> _served = [];

    /// <param name="rules">YAML of the list <c>egress</c>, one rule a line.</param>
    public EgressRig(string rules, IReadOnlyList<IPEndPoint>? granted = null, string more = "", TimeProvider? clock = null, string header = "Authorization: Bearer {secret}", IReadOnlyDictionary<string, IPEndPoint>? services = null, string door = "egress", long used = 0)
    {
        var text = $"name: a\ncode: x\n{(rules.Length == 0 ? "" : "egress:\n" + string.Join('\n', rules.Split('\n').Select(r => "  - " + r.Trim())))}\n{more}\n";
        var outcome = ManifestReader.Read(text, "a.yaml");
        Manifest = outcome is ManifestOutcome.Valid valid ? valid.Manifest : throw new InvalidOperationException(((ManifestOutcome.Invalid)outcome).Problem.Message);
        Gate = new EgressGate(
            new EgressOptions
            {
                AllowPrivate = granted ?? [],
                Secrets = [new SecretOptions { Name = "token", Value = SecretValue, Header = header, Hosts = ["api.test.example", "*.granted.example"] }],
                Services = services ?? new Dictionary<string, IPEndPoint>(),
                Trusted = [TestAuthority.Certificate],
                SystemBundle = ReadOnlyMemory<byte>.Empty,
            },
            Resolver, Connector, clock ?? new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(57)));
        _doors = Gate.Open(Manifest, Log, used)!;
        var service = _doors.Forwards.Single(f => f.Name == door).Service;
        _listener.Start();
        _ = AcceptAsync(service);
    }

    public AgentManifest Manifest { get; }

    public EgressGate Gate { get; }

    public IBoxDoors Doors => _doors;

    public FakeLog Log { get; } = new();

    public FakeResolver Resolver { get; } = new();

    public LoopbackConnector Connector { get; } = new();

    public IPEndPoint Address => (IPEndPoint)_listener.LocalEndpoint;

    /// <summary>A program in the box that uses the proxy and trusts what it is told to trust.</summary>
    public HttpClient Client(bool trusting = true)
    {
        var handler = new SocketsHttpHandler { Proxy = new WebProxy($"http://{Address}"), AllowAutoRedirect = true, MaxAutomaticRedirections = 3 };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => trusting && IsOfBox(certificate!);
        return new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(20) };
    }

    public bool IsOfBox(X509Certificate certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTime = DateTime.UnixEpoch.AddYears(57).AddMinutes(1);
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.CustomTrustStore.ImportFromPem(Encoding.ASCII.GetString(_doors.Files["box-ca.pem"].Span));
        using var leaf = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return chain.Build(leaf);
    }

    public async Task<NetworkStream> DialAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(Address);
        return new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>Says something to the proxy and reads until it closes the connection.</summary>
    public async Task<string> SayAsync(string text, bool endSending = true)
    {
        await using var stream = await DialAsync();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(text));
        if (endSending)
            stream.Socket.Shutdown(SocketShutdown.Send);
        return await ReadAllAsync(stream);
    }

    public static async Task<string> ReadAllAsync(Stream stream)
    {
        using var all = new MemoryStream();
        try
        {
            await stream.CopyToAsync(all).WaitAsync(TimeSpan.FromSeconds(20));
        }
        catch (IOException)
        {
            // Cut short; what came until then is the answer.
        }

        return Encoding.Latin1.GetString(all.ToArray());
    }

    private async Task AcceptAsync(IBoxService service)
    {
        try
        {
            while (true)
            {
                var socket = await _listener.AcceptSocketAsync(_end.Token);
                lock (_served)
                    _served.Add(ServeAsync(service, socket));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(IBoxService service, Socket socket)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        try
        {
            await service.ServeAsync(stream, _end.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }
    }

    /// <summary>Until every connection was served; an unexpected failure of one shows here.</summary>
    public async Task SettledAsync()
    {
        Task[] served;
        lock (_served)
            served = [.. _served];
        await Task.WhenAll(served).WaitAsync(TimeSpan.FromSeconds(20));
    }

    public async ValueTask DisposeAsync()
    {
        await _doors.DisposeAsync();
        await _end.CancelAsync();
        _listener.Dispose();
        await SettledAsync();
        _end.Dispose();
    }
}

internal sealed class FakeLog : IEgressLog
{
    private readonly ConcurrentQueue<EgressDecision> _decisions = [];
    private readonly ConcurrentQueue<EgressIntent> _intents = [];
    private long _sent;
    private long _received;

    public bool MaySend { get; set; } = true;

    public bool Owned { get; set; } = true;

    public Action<EgressIntent>? OnIntent { get; set; }

    public IReadOnlyCollection<EgressDecision> Decisions => _decisions;

    public IEnumerable<string> Codes => _decisions.Select(d => d.Code);

    public IReadOnlyCollection<EgressIntent> Intents => _intents;

    public long Sent => Interlocked.Read(ref _sent);

    public long Received => Interlocked.Read(ref _received);

    public void Decided(EgressDecision decision) => _decisions.Enqueue(decision);

    public void Moved(string host, int port, long sent, long received)
    {
        Interlocked.Add(ref _sent, sent);
        Interlocked.Add(ref _received, received);
    }

    public ValueTask<bool> IntentAsync(EgressIntent intent, CancellationToken cancellationToken)
    {
        _intents.Enqueue(intent);
        OnIntent?.Invoke(intent);
        return ValueTask.FromResult(Owned);
    }
}

internal sealed class FakeResolver : IEgressResolver
{
    private readonly ConcurrentQueue<string> _asked = [];

    public ConcurrentDictionary<string, Func<int, IPAddress[]>> Names { get; } = new();

    public IReadOnlyCollection<string> Asked => _asked;

    public IReadOnlyCollection<IPAddress> Own { get; set; } = [];

    public Task<IReadOnlyList<IPAddress>> ResolveAsync(string name, CancellationToken cancellationToken)
    {
        _asked.Enqueue(name);
        return Names.TryGetValue(name, out var answer)
            ? Task.FromResult<IReadOnlyList<IPAddress>>(answer(_asked.Count(n => n == name)))
            : Task.FromException<IReadOnlyList<IPAddress>>(new SocketException((int)SocketError.HostNotFound));
    }
}

/// <summary>Takes down what is asked for, and goes nowhere but to this machine.</summary>
internal sealed class LoopbackConnector : IEgressConnector
{
    private readonly SocketConnector _inner = new();
    private readonly ConcurrentQueue<IPEndPoint> _asked = [];

    public IReadOnlyCollection<IPEndPoint> Asked => _asked;

    public Task<EgressLink> ConnectAsync(IPEndPoint address, CancellationToken cancellationToken)
    {
        _asked.Enqueue(address);
        return IPAddress.IsLoopback(address.Address) ? _inner.ConnectAsync(address, cancellationToken) : throw new SocketException((int)SocketError.NetworkUnreachable);
    }
}
