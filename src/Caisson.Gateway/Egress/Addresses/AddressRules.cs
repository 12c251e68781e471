using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Caisson.Gateway.Egress.Addresses;

/// <summary>
/// Which addresses boxes may reach: of version 6 what is assigned to the public network, of version 4 what is not
/// reserved for anything else. Pure.
/// </summary>
internal static class AddressRules
{
    private static readonly (IPNetwork Net, string What)[] Reserved4 =
    [
        (Net("0.0.0.0/8"), "unspecified"),
        (Net("10.0.0.0/8"), "private"),
        (Net("100.64.0.0/10"), "shared by carriers"),
        (Net("127.0.0.0/8"), "loopback"),
        (Net("169.254.0.0/16"), "link-local, where machines keep their metadata"),
        (Net("168.63.129.16/32"), "a cloud's metadata"),
        (Net("172.16.0.0/12"), "private"),
        (Net("192.0.0.0/24"), "reserved for protocols"),
        (Net("192.0.2.0/24"), "for documentation"),
        (Net("192.31.196.0/24"), "reserved"),
        (Net("192.52.193.0/24"), "reserved"),
        (Net("192.88.99.0/24"), "reserved for relays"),
        (Net("192.168.0.0/16"), "private"),
        (Net("192.175.48.0/24"), "reserved"),
        (Net("198.18.0.0/15"), "for benchmarks"),
        (Net("198.51.100.0/24"), "for documentation"),
        (Net("203.0.113.0/24"), "for documentation"),
        (Net("224.0.0.0/4"), "multicast"),
        (Net("240.0.0.0/4"), "reserved"),
    ];

    private static readonly (IPNetwork Net, string What)[] Reserved6 =
    [
        (Net("2001::/32"), "a Teredo tunnel"),
        (Net("2001::/23"), "reserved for protocols"),
        (Net("2001:db8::/32"), "for documentation"),
        (Net("2002::/16"), "a 6to4 tunnel"),
        (Net("2620:4f:8000::/48"), "reserved"),
        (Net("3fff::/20"), "for documentation"),
    ];

    private static readonly IPNetwork Public6 = Net("2000::/3");
    private static readonly IPNetwork Translated = Net("64:ff9b::/96");

    /// <summary>What speaks against connecting to it, or <c>null</c>.</summary>
    internal static string? Refusal(IPAddress address, int port, IReadOnlyCollection<IPEndPoint> granted, IReadOnlyCollection<IPAddress> own)
    {
        if (address.AddressFamily == AddressFamily.InterNetworkV6 && address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        if (granted.Contains(new IPEndPoint(address, port)))
            return null;
        return (address.AddressFamily == AddressFamily.InterNetwork ? Refusal4(address) : Refusal6(address))
            ?? (own.Contains(address) ? "an address of this host" : null);
    }

    private static string? Refusal4(IPAddress address) => Reserved4.FirstOrDefault(r => r.Net.Contains(address)).What;

    private static string? Refusal6(IPAddress address)
    {
        if (address.ScopeId != 0)
            return "an address of one interface only";
        if (Translated.Contains(address))
            return Refusal4(new IPAddress(address.GetAddressBytes().AsSpan(12))) is { } inner ? $"translated, and behind it {inner}" : null;
        if (IPAddress.IsLoopback(address))
            return "loopback";
        if (!Public6.Contains(address))
            return BinaryPrimitives.ReadUInt16BigEndian(address.GetAddressBytes()) switch
            {
                >= 0xff00 => "multicast",
                >= 0xfe80 and < 0xfec0 => "link-local",
                >= 0xfc00 and < 0xfe00 => "private",
                _ => "not of the public network",
            };
        return Reserved6.FirstOrDefault(r => r.Net.Contains(address)).What;
    }

    private static IPNetwork Net(string text) => IPNetwork.Parse(text);
}
