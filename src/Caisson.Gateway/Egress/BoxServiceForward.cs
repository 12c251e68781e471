using System.Net;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Sandboxes;
using Caisson.Gateway.Egress.Http;

namespace Caisson.Gateway.Egress;

/// <summary>A port of the box's loopback that leads to one granted address and nowhere else.</summary>
internal sealed class BoxServiceForward(BoxWall wall, string name, int port, IPEndPoint address) : IBoxService
{
    public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
    {
        if (wall.Meter.IsOver)
        {
            wall.Decided(ErrorCodes.EgressBudget, "TCP", name, port, reason: wall.Meter.Reason);
            return;
        }

        await Tunnel.RunAsync(wall, EgressKind.Service, new Authority(new HostName(name, null), port), [address], connection, new BoxReader(connection, wall.Clock), cancellationToken);
    }
}
