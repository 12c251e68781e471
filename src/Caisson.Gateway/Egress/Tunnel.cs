using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Egress.Http;

namespace Caisson.Gateway.Egress;

/// <summary>A connection that nobody looks into: counted, and journaled before its first byte leaves.</summary>
internal static class Tunnel
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(10);

    /// <summary>For how long one side may go on after the other has ended.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(30);

    internal static async Task RunAsync(BoxWall wall, EgressKind kind, Authority to, IReadOnlyList<IPEndPoint> addresses, Stream box, BoxReader begun, CancellationToken cancellationToken)
    {
        var (verb, name) = (kind == EgressKind.Tunnel ? "CONNECT" : "TCP", to.Host.Name);
        if (!wall.Log.MaySend || !await wall.Log.IntentAsync(new EgressIntent(kind, name, to.Port), cancellationToken))
        {
            wall.Decided(ErrorCodes.EgressStopped, verb, name, to.Port, reason: Stopped(name, to.Port));
            await SayAsync(TlsAlerts.AccessDenied);
            return;
        }

        wall.Decided(EgressDecision.Unrecorded, verb, name, to.Port);
        if (await ConnectAsync(wall, addresses, cancellationToken) is not { } link)
        {
            wall.Decided(ErrorCodes.EgressUnreachable, verb, name, to.Port, reason: $"caisson: {name}:{to.Port} does not answer; try again later");
            await SayAsync(TlsAlerts.InternalError);
            return;
        }

        await using var outside = new MeteredStream(link.Stream, name, to.Port, wall.Meter, wall.Log);
        try
        {
            await RelayAsync(wall.Clock, new BegunStream(begun, box), outside, link, cancellationToken);
        }
        catch (EgressBudgetException over)
        {
            wall.Decided(ErrorCodes.EgressBudget, verb, name, to.Port, reason: over.Message);
        }

        Task SayAsync(byte[] alert) => kind == EgressKind.Tunnel ? box.WriteAsync(alert, cancellationToken).AsTask() : Task.CompletedTask;
    }

    internal static string Stopped(string host, int port) => $"caisson: nothing is sent to {host}:{port}: no step of the run is under way, or the run is being taken over; try again within a step";

    /// <summary>The first address that answers; <c>null</c> where none does.</summary>
    internal static async Task<EgressLink?> ConnectAsync(BoxWall wall, IReadOnlyList<IPEndPoint> addresses, CancellationToken cancellationToken)
    {
        foreach (var address in addresses)
        {
            using var limit = new CancellationTokenSource(ConnectLimit, wall.Clock);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
            try
            {
                return await wall.Connector.ConnectAsync(address, both.Token);
            }
            catch (Exception problem) when (problem is SocketException || (problem is OperationCanceledException && limit.IsCancellationRequested))
            {
                // The next address may answer.
            }
        }

        return null;
    }

    private static async Task RelayAsync(TimeProvider clock, Stream box, MeteredStream outside, EgressLink link, CancellationToken cancellationToken)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var outward = CopyAsync(box, outside, end.Token);
        var inward = CopyAsync(outside, box, end.Token);
        if (await Task.WhenAny(outward, inward) == outward && outward.IsCompletedSuccessfully)
        {
            // The box has said all; the answer may still be on its way.
            try
            {
                link.EndSending();
            }
            catch (Exception problem) when (problem is SocketException or ObjectDisposedException)
            {
                // The other side was faster.
            }

            using var rest = clock.CreateTimer(_ => end.Cancel(), null, Rest, Timeout.InfiniteTimeSpan);
            await Task.WhenAny(inward);
        }

        await end.CancelAsync();
        try
        {
            await Task.WhenAll(outward, inward);
        }
        catch (Exception problem) when (problem is OperationCanceledException || (problem is IOException or SocketException && problem is not EgressBudgetException))
        {
            // One side ended; the other one is told by the end of its connection.
            if ((outward.Exception ?? inward.Exception)?.InnerExceptions.OfType<EgressBudgetException>().FirstOrDefault() is { } over)
                throw over;
        }

    }

    private static async Task CopyAsync(Stream from, Stream to, CancellationToken cancellationToken)
    {
        var buffer = new byte[16 << 10];
        while (await from.ReadAsync(buffer, cancellationToken) is > 0 and var read)
        {
            await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            await to.FlushAsync(cancellationToken);
        }
    }
}
