namespace Caisson.Core.Sandboxes;

/// <summary>A port on the box's own loopback that leads out of it to one service of the host's choosing.</summary>
/// <param name="Port">On 127.0.0.1 inside; 1 to 65535.</param>
/// <param name="Name">For logs and decisions: <c>egress</c>, or the service's name.</param>
public sealed record BoxForward(int Port, string Name, IBoxService Service);

/// <summary>What stands behind a forwarded port. All that comes from the box is hostile.</summary>
public interface IBoxService
{
    /// <summary>Serves one connection from the box until its end. Disposing of the stream is the caller's.</summary>
    Task ServeAsync(Stream connection, CancellationToken cancellationToken);
}
