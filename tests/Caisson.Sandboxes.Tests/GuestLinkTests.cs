using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Sandboxes.Protocol;

namespace Caisson.Sandboxes.Tests;

public sealed class GuestLinkTests
{
    [Fact]
    public async Task A_second_control_connection_ends_the_box()
    {
        var directory = System.IO.Directory.CreateTempSubdirectory("caisson-link-").FullName + "/link";
        using var link = GuestLink.Listen(directory, TimeProvider.System);
        // Both before the host has accepted one and unlinked the name: the race that the rule is for.
        using var first = await DialAsync(directory);
        using var second = await DialAsync(directory);
        await first.SendAsync((byte[])[4, 0, 0, 0, 16, (byte)GuestLink.ProtocolVersion, 0, 0, 0]);

        Assert.Null(await link.ConnectAsync(default));
        Assert.Equal(ErrorCodes.SandboxProtocol, (await link.Lost.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System)).Code);
        Assert.False(File.Exists(Path.Combine(directory, "ctl.sock")));
        Directory.Delete(Path.GetDirectoryName(directory)!, recursive: true);

        static async Task<Socket> DialAsync(string directory)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(directory, "ctl.sock")));
            return socket;
        }
    }

    [Fact]
    public void Two_servers_have_two_prefixes_and_one_server_always_the_same()
    {
        var one = new SandboxOptions { StateDirectory = "/data/one/sandboxes" };
        var same = new SandboxOptions { StateDirectory = "/data/one/../one/sandboxes" };
        var two = new SandboxOptions { StateDirectory = "/data/two/sandboxes" };

        Assert.Equal(one.EffectivePrefix, same.EffectivePrefix);
        Assert.NotEqual(one.EffectivePrefix, two.EffectivePrefix);
        Assert.Equal("chosen", new SandboxOptions { StateDirectory = "/data", Prefix = "chosen" }.EffectivePrefix);
    }
}
