using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress.Addresses;

internal abstract record Destination
{
    /// <summary>Good addresses, fixed for as long as a connection of the box lasts.</summary>
    internal sealed record Found(IReadOnlyList<IPEndPoint> Addresses) : Destination;

    internal sealed record Refused(string Code, string Reason) : Destination;
}

/// <summary>
/// Finds the addresses of a host that rules allow. One bad address refuses the host: a name that answers with a public
/// and a private one is trying something.
/// </summary>
internal sealed class Destinations(IEgressResolver resolver, IReadOnlyCollection<IPEndPoint> granted, TimeProvider clock)
{
    private const int MostAddresses = 16;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    internal async Task<Destination> FindAsync(HostName host, int port, CancellationToken cancellationToken)
    {
        IReadOnlyList<IPAddress> addresses;
        try
        {
            addresses = host.Address is { } literal ? [literal] : await LookUpAsync(host.Name, cancellationToken);
        }
        catch (Exception problem) when (problem is SocketException or ArgumentException or TimeoutException)
        {
            return new Destination.Refused(ErrorCodes.EgressUnreachable, $"caisson: {host.Name} could not be looked up ({problem.Message}); check the name, or try again later");
        }

        if (addresses.Count == 0)
            return new Destination.Refused(ErrorCodes.EgressUnreachable, $"caisson: {host.Name} has no address; check the name");
        foreach (var address in addresses)
        {
            if (AddressRules.Refusal(address, port, granted, resolver.Own) is { } what)
                return new Destination.Refused(ErrorCodes.EgressAddress, $"caisson: {host.Name}:{port} is denied: its address {address} is {what}; only public addresses may be reached, whatever the rules say");
        }

        return new Destination.Found([.. addresses.Take(MostAddresses).Select(a => new IPEndPoint(a, port))]);
    }

    private async Task<IReadOnlyList<IPAddress>> LookUpAsync(string name, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(Limit, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            return await resolver.ResolveAsync(name, both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            throw new TimeoutException("no answer within 10 s");
        }
    }
}
