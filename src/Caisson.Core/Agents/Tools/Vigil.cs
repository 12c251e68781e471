using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents.Tools;

/// <summary>Watches a command in its box, and ends it when it hangs.</summary>
internal static class Vigil
{
    /// <returns><c>null</c> where it hung: its box is in no state to go on in.</returns>
    internal static async Task<ToolOutcome?> RunAsync(ISandbox box, TimeSpan timeout, TimeProvider clock, Func<CancellationToken, Task<ToolOutcome>> run, CancellationToken cancellationToken)
    {
        using var hung = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var over = new CancellationTokenSource();
        var watching = WatchAsync(box, timeout, clock, hung, over.Token);
        try
        {
            return await run(hung.Token);
        }
        catch (OperationCanceledException) when (hung.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        finally
        {
            over.End();
            await watching;
        }
    }

    private static async Task WatchAsync(ISandbox box, TimeSpan timeout, TimeProvider clock, CancellationTokenSource hung, CancellationToken over)
    {
        try
        {
            // Not at once: most commands are over before the first look, and pay nothing for it.
            await Task.Delay(IdleWatch.LookEvery(timeout), clock, over);
            var watch = new IdleWatch(timeout, await box.StatsAsync(over));
            var start = clock.GetTimestamp();
            do
                await Task.Delay(IdleWatch.LookEvery(timeout), clock, over);
            while (!watch.Observe(await box.StatsAsync(over), clock.GetElapsedTime(start)));
            hung.End();
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The command ended by itself.
        }
    }
}
