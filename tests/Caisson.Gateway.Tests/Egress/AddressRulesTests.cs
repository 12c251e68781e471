using System.Net;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Addresses;

namespace Caisson.Gateway.Tests.Egress;

public sealed class AddressRulesTests
{
    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("0.1.2.3")]
    [InlineData("10.0.0.1")]
    [InlineData("100.64.0.1")]
    [InlineData("100.127.255.255")]
    [InlineData("127.0.0.1")]
    [InlineData("127.255.255.254")]
    [InlineData("169.254.169.254")]
    [InlineData("168.63.129.16")]
    [InlineData("172.16.0.1")]
    [InlineData("172.31.255.255")]
    [InlineData("192.0.0.8")]
    [InlineData("192.0.2.1")]
    [InlineData("192.88.99.1")]
    [InlineData("192.168.1.1")]
    [InlineData("198.18.0.1")]
    [InlineData("198.19.255.255")]
    [InlineData("198.51.100.7")]
    [InlineData("203.0.113.9")]
    [InlineData("224.0.0.1")]
    [InlineData("239.255.255.250")]
    [InlineData("240.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("2130706433")]
    [InlineData("0x7f000001")]
    [InlineData("0x7f.1")]
    [InlineData("017700000001")]
    [InlineData("0177.0.0.1")]
    [InlineData("127.1")]
    [InlineData("0")]
    [InlineData("0xA9FEA9FE")]
    [InlineData("169.254.43518")]
    [InlineData("127.0.0.1.")]
    [InlineData("[::]")]
    [InlineData("[::1]")]
    [InlineData("[::ffff:127.0.0.1]")]
    [InlineData("[::ffff:7f00:1]")]
    [InlineData("[::ffff:169.254.169.254]")]
    [InlineData("[::127.0.0.1]")]
    [InlineData("[64:ff9b::7f00:1]")]
    [InlineData("[64:ff9b::10.0.0.1]")]
    [InlineData("[64:ff9b:1::1]")]
    [InlineData("[2002:7f00:1::]")]
    [InlineData("[2002:a9fe:a9fe::1]")]
    [InlineData("[2001:0:7f00:1::1]")]
    [InlineData("[2001:db8::1]")]
    [InlineData("[2001:2::1]")]
    [InlineData("[3fff::1]")]
    [InlineData("[fc00::1]")]
    [InlineData("[fd00:ec2::254]")]
    [InlineData("[fe80::1]")]
    [InlineData("[fec0::1]")]
    [InlineData("[ff02::1]")]
    [InlineData("[100::1]")]
    [InlineData("[5f00::1]")]
    public void Every_spelling_of_an_address_that_is_not_public_is_refused(string host)
    {
        var address = HostName.TryParse(host)?.Address;

        Assert.NotNull(address);
        Assert.NotNull(AddressRules.Refusal(address, 443, [], []));
    }

    [Theory]
    [InlineData("[fe80::1%eth0]")]
    [InlineData("[fe80::1%25eth0]")]
    [InlineData("[::1%1]")]
    [InlineData("fe80::1%lo")]
    [InlineData("１２７．０．０．１")]
    [InlineData("1.2.3.256")]
    [InlineData("1.2.3.4.5")]
    [InlineData("0x1ffffffff")]
    [InlineData("09.0.0.1")]
    [InlineData("1..2")]
    [InlineData("a..b")]
    [InlineData(".a")]
    [InlineData("a b")]
    [InlineData("a%2eb")]
    [InlineData("user@host")]
    [InlineData("-a.b")]
    [InlineData("[::1")]
    [InlineData("")]
    [InlineData(".")]
    public void What_is_neither_name_nor_address_is_no_host(string text) => Assert.Null(HostName.TryParse(text));

    [Theory]
    [InlineData("8.8.8.8")]
    [InlineData("1.1.1.1")]
    [InlineData("[2606:4700::1111]")]
    [InlineData("[2a00:1450::1]")]
    [InlineData("[64:ff9b::808:808]")]
    public void Public_addresses_pass(string host) => Assert.Null(AddressRules.Refusal(HostName.TryParse(host)!.Address!, 443, [], []));

    [Fact]
    public void A_grant_is_for_one_address_and_one_port()
    {
        IPEndPoint[] granted = [new(IPAddress.Loopback, 8443)];

        Assert.Null(AddressRules.Refusal(IPAddress.Loopback, 8443, granted, []));
        Assert.Null(AddressRules.Refusal(IPAddress.Parse("::ffff:127.0.0.1"), 8443, granted, []));
        Assert.NotNull(AddressRules.Refusal(IPAddress.Loopback, 8444, granted, []));
        Assert.NotNull(AddressRules.Refusal(IPAddress.Parse("127.0.0.2"), 8443, granted, []));
    }

    [Fact]
    public void A_public_address_of_this_host_is_refused() =>
        Assert.Contains("this host", AddressRules.Refusal(IPAddress.Parse("8.8.4.4"), 443, [], [IPAddress.Parse("8.8.4.4")]), StringComparison.Ordinal);
}
