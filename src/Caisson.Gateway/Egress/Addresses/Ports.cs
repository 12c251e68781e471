using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Caisson.Gateway.Egress.Addresses;

/// <summary>Looks names up, on the host.</summary>
public interface IEgressResolver
{
    /// <summary>Empty where the name has no address. A failing lookup throws <see cref="SocketException"/>.</summary>
    Task<IReadOnlyList<IPAddress>> ResolveAsync(string name, CancellationToken cancellationToken);

    /// <summary>The addresses of this host's own interfaces.</summary>
    IReadOnlyCollection<IPAddress> Own { get; }
}

/// <summary>Opens connections to addresses that were found good.</summary>
public interface IEgressConnector
{
    /// <summary>Throws <see cref="SocketException"/> where nobody answers.</summary>
    Task<EgressLink> ConnectAsync(IPEndPoint address, CancellationToken cancellationToken);
}

/// <param name="EndSending">Says that nothing more comes from this side; the other one may go on.</param>
public sealed record EgressLink(Stream Stream, Action EndSending);

public sealed class SystemResolver(TimeProvider clock) : IEgressResolver
{
    private static readonly TimeSpan OwnFor = TimeSpan.FromSeconds(10);
    private (IReadOnlyCollection<IPAddress> Addresses, long At)? _own;

    public async Task<IReadOnlyList<IPAddress>> ResolveAsync(string name, CancellationToken cancellationToken) => await Dns.GetHostAddressesAsync(name, cancellationToken);

    public IReadOnlyCollection<IPAddress> Own
    {
        get
        {
            // Interfaces come and go, and asking for them takes a millisecond.
            if (_own is { } known && clock.GetElapsedTime(known.At) < OwnFor)
                return known.Addresses;
            IReadOnlyCollection<IPAddress> found = [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => Bare(a.Address))];
            _own = (found, clock.GetTimestamp());
            return found;
        }
    }

    private static IPAddress Bare(IPAddress address) => address.AddressFamily == AddressFamily.InterNetworkV6 ? new IPAddress(address.GetAddressBytes()) : address;
}

public sealed class SocketConnector : IEgressConnector
{
    public async Task<EgressLink> ConnectAsync(IPEndPoint address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(address, cancellationToken);
            return new EgressLink(new NetworkStream(socket, ownsSocket: true), () => socket.Shutdown(SocketShutdown.Send));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
