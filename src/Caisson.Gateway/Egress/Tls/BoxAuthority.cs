using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress.Tls;

/// <summary>
/// The authority of one box: made with it, trusted in it alone, and gone with it. Its key never leaves this process. A
/// leaf is made for each name that rules allow, at its first use.
/// </summary>
internal sealed class BoxAuthority : IDisposable
{
    private const int MostLeaves = 1_000;
    private static readonly TimeSpan Life = TimeSpan.FromDays(400);
    private static readonly TimeSpan LeafLife = TimeSpan.FromDays(1);
    private static readonly TimeSpan Skew = TimeSpan.FromHours(1);

    private readonly TimeProvider _clock;
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly ECDsa _leafKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _certificate;
    private readonly Dictionary<string, (SslStreamCertificateContext Context, DateTimeOffset Until)> _leaves = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    internal BoxAuthority(TimeProvider clock)
    {
        _clock = clock;
        var now = clock.GetUtcNow();
        var request = new CertificateRequest("CN=Caisson box authority", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        _certificate = request.CreateSelfSigned(now - Skew, now + Life);
        Pem = _certificate.ExportCertificatePem() + "\n";
    }

    internal string Pem { get; }

    internal SslStreamCertificateContext LeafOf(HostName host)
    {
        lock (_lock)
        {
            var now = _clock.GetUtcNow();
            if (_leaves.TryGetValue(host.Name, out var known) && known.Until > now)
                return known.Context;
            if (_leaves.Count >= MostLeaves)
                _leaves.Clear();
            var leaf = Make(host, now);
            _leaves[host.Name] = (leaf, now + LeafLife / 2);
            return leaf;
        }
    }

    private SslStreamCertificateContext Make(HostName host, DateTimeOffset now)
    {
        // The subject has room for 64 characters; what counts is the alternative name.
        var request = new CertificateRequest("CN=Caisson box", _leafKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (host.Address is { } address)
            names.AddIpAddress(address);
        else
            names.AddDnsName(host.Name);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        var until = now + LeafLife;
        var end = new DateTimeOffset(_certificate.NotAfter.ToUniversalTime(), TimeSpan.Zero);
        var signer = X509SignatureGenerator.CreateForECDsa(_key);
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)(0x40 | (serial[0] & 0x3f)); // positive, and of full length
        using var bare = request.Create(_certificate.SubjectName, signer, now - Skew, until < end ? until : end, serial);
        var leaf = bare.CopyWithPrivateKey(_leafKey);
        return SslStreamCertificateContext.Create(leaf, [_certificate], offline: true);
    }

    public void Dispose()
    {
        foreach (var (context, _) in _leaves.Values)
            context.TargetCertificate.Dispose();
        _certificate.Dispose();
        _key.Dispose();
        _leafKey.Dispose();
    }
}
