using System.Text;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Sandboxes;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Egress.Tls;

namespace Caisson.Gateway.Egress;

/// <summary>Makes the ways out of boxes, from what manifests ask for and the operator grants.</summary>
public sealed class EgressGate : IBoxEgress
{
    private static readonly string[] Bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

    private readonly EgressOptions _options;
    private readonly Dictionary<string, Secret> _secrets;
    private readonly IEgressConnector _connector;
    private readonly TimeProvider _clock;
    private readonly Destinations _destinations;
    private readonly Lazy<ReadOnlyMemory<byte>> _bundle;

    public EgressGate(EgressOptions options, IEgressResolver resolver, IEgressConnector connector, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _secrets = options.Secrets.ToDictionary(s => s.Name, s => s.ToSecret(), StringComparer.Ordinal);
        (_connector, _clock) = (connector, clock);
        _destinations = new Destinations(resolver, [.. options.AllowPrivate], clock);
        _bundle = new Lazy<ReadOnlyMemory<byte>>(() => options.SystemBundle ?? (Bundles.FirstOrDefault(File.Exists) is { } path ? File.ReadAllBytes(path) : ReadOnlyMemory<byte>.Empty));
    }

    internal TimeProvider Clock => _clock;

    public Failure? Problem(AgentManifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        foreach (var rule in manifest.Egress ?? [])
        {
            if (rule.Secret is not { } name)
                continue;
            if (!_secrets.TryGetValue(name, out var secret))
                return new Failure(ErrorCodes.EgressNotGranted, $"egress: the secret '{name}' is not one of this server's: have its operator add [egress.secrets.{name}], or take it out of the manifest");
            if (!secret.MayGoTo(rule.Host))
                return new Failure(ErrorCodes.EgressNotGranted, $"egress: the secret '{name}' may not go to {rule.Host}: have the server's operator add the host to egress.secrets.{name}.hosts, or use it elsewhere");
        }

        foreach (var service in manifest.Services ?? [])
        {
            if (!_options.Services.ContainsKey(service.Name))
                return new Failure(ErrorCodes.EgressNotGranted, $"services: '{service.Name}' is not one of this server's: have its operator add [services.{service.Name}], or take it out of the manifest");
        }

        foreach (var server in manifest.Mcp ?? [])
        {
            if (server.Secret is not { } name)
                continue;
            var host = new Uri(server.Url!).Host;
            if (!_secrets.TryGetValue(name, out var secret))
                return new Failure(ErrorCodes.EgressNotGranted, $"mcp.servers.{server.Name}: the secret '{name}' is not one of this server's: have its operator add [egress.secrets.{name}], or take it out of the manifest");
            if (!secret.MayGoTo(host))
                return new Failure(ErrorCodes.EgressNotGranted, $"mcp.servers.{server.Name}: the secret '{name}' may not go to {host}: have the server's operator add the host to egress.secrets.{name}.hosts, or use it elsewhere");
        }

        return null;
    }

    /// <summary>The wall for what is asked on a run's behalf at one address: the manifest has named it, and no box can.</summary>
    internal (BoxWall Wall, Secret? Secret) WallFor(McpServerSettings server, IEgressLog log, long? mostBytes)
    {
        var secret = server.Secret is { } name ? _secrets[name] : null;
        return (new BoxWall(new EgressPolicy([]), _destinations, _connector, new EgressMeter(mostBytes ?? EgressDefaults.Bytes, 0), log, new Dictionary<string, Secret>(), new BoxAuthority(_clock), _options.Trusted, _clock), secret);
    }

    public IBoxDoors? Open(AgentManifest manifest, IEgressLog log, long used)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        if (manifest.Egress is not { Count: > 0 } && manifest.Services is not { Count: > 0 })
            return null;
        if (Problem(manifest) is { } problem)
            throw new CaissonException(problem.Code, problem.Message);
        var rules = manifest.Egress ?? [];
        var named = rules.Select(r => r.Secret).OfType<string>().Distinct().ToDictionary(name => name, name => _secrets[name], StringComparer.Ordinal);
        var authority = new BoxAuthority(_clock);
        var wall = new BoxWall(new EgressPolicy(rules), _destinations, _connector, new EgressMeter(manifest.EgressBytes ?? EgressDefaults.Bytes, used), log, named, authority, _options.Trusted, _clock);
        return new EgressBox(wall, manifest.Services?.Select(s => (s, _options.Services[s.Name])) ?? [], _bundle.Value);
    }
}

/// <summary>The ways out of one box, and what programs in it need to find and trust them.</summary>
internal sealed class EgressBox : IBoxDoors
{
    private const string Bundle = "ca.pem";
    private const string OwnAuthority = "box-ca.pem";
    private const string Folder = "/run/box/";

    private readonly BoxWall _wall;
    private readonly CancellationTokenSource _end = new();

    internal EgressBox(BoxWall wall, IEnumerable<(ServiceSetting Setting, System.Net.IPEndPoint Address)> services, ReadOnlyMemory<byte> systemBundle)
    {
        _wall = wall;
        var forwards = services.Select(s => Forward(s.Setting.Port, s.Setting.Name, new BoxServiceForward(wall, s.Setting.Name, s.Setting.Port, s.Address))).ToList();
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        var files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        if (wall.Policy.Rules.Count > 0)
        {
            forwards.Add(Forward(EgressDefaults.ProxyPort, "egress", new EgressProxy(wall)));
            files[Bundle] = (byte[])[.. systemBundle.Span, .. systemBundle.Length > 0 && systemBundle.Span[^1] != '\n' ? "\n"u8 : [], .. Encoding.ASCII.GetBytes(wall.Authority.Pem)];
            files[OwnAuthority] = Encoding.ASCII.GetBytes(wall.Authority.Pem);
            environment = EnvironmentOf(wall);
        }

        (Forwards, Environment, Files) = (forwards, environment, files);
    }

    public IReadOnlyList<BoxForward> Forwards { get; }

    public IReadOnlyDictionary<string, string> Environment { get; }

    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; }

    private static Dictionary<string, string> EnvironmentOf(BoxWall wall)
    {
        var proxy = $"http://127.0.0.1:{EgressDefaults.ProxyPort}";
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in new[] { "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy" })
            environment[name] = proxy;
        environment["NO_PROXY"] = environment["no_proxy"] = "localhost,127.0.0.1,::1";
        foreach (var name in new[] { "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "AWS_CA_BUNDLE" })
            environment[name] = Folder + Bundle;

        // Node adds to its own list where the others replace theirs.
        environment["NODE_EXTRA_CA_CERTS"] = Folder + OwnAuthority;
        environment["NODE_USE_ENV_PROXY"] = "1";
        foreach (var secret in wall.Secrets.Keys)
            environment[EgressNames.Variable(secret)] = EgressNames.Placeholder(secret);
        return environment;
    }

    private BoxForward Forward(int port, string name, IBoxService service) => new(port, name, new Ending(service, _end.Token));

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _wall.Authority.Dispose();
    }

    /// <summary>Ends its connections with the box.</summary>
    private sealed class Ending(IBoxService inner, CancellationToken end) : IBoxService
    {
        public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
        {
            using var both = CancellationTokenSource.CreateLinkedTokenSource(end, cancellationToken);
            await inner.ServeAsync(connection, both.Token);
        }
    }
}
