using Caisson.Client;

namespace Caisson.Cli.Commands;

/// <summary>Sends what is safe to send twice, because it carries a key.</summary>
internal static class Resend
{
    /// <summary>Asks again while the server is away, but only where it may have taken the request before it went.</summary>
    internal static async Task<T> UntilAnsweredAsync<T>(CommandContext context, Func<CancellationToken, Task<T>> send)
    {
        try
        {
            return await send(context.Interrupted);
        }
        catch (ServerUnreachableException e) when (!e.NeverConnected)
        {
            context.Progress("caisson: the server went away before it answered; asking again");
            return await context.Client.RetryAsync(send, CaissonClient.DefaultPatience, context.Interrupted);
        }
    }
}
