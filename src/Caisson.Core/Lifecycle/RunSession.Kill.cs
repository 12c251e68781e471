using Caisson.Core.Budgets;

namespace Caisson.Core.Lifecycle;

/// <summary>What the kill switch does to an owned run.</summary>
internal sealed partial class RunSession
{
    /// <summary>The order that stops this run, or <c>null</c>.</summary>
    internal KillOrder? Killed => _services.Kills?.Current.Refuses(_claimed.Tenant, _claimed.Agent);

    internal Task KillAsync(KillOrder order) => RequestStopAsync(new StopRequest(StopKind.Kill, order.By, order.Text(), null));

    /// <summary>An order that has not reached this run yet still lets nothing begin.</summary>
    private async Task RefuseIfKilledAsync()
    {
        if (Killed is not { } order)
            return;
        await KillAsync(order);
        throw new OperationCanceledException(Halting);
    }
}
