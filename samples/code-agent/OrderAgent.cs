using System.Globalization;
using Caisson.Core.Agents;

namespace CodeAgent;

/// <summary>
/// Sells a lamp: looks whether there is one, asks two carriers at the same time, leaves the customer a while to think it
/// over, waits for the money, asks a person, and ships. Kill the process wherever you like: nothing is asked, paid for or
/// shipped twice.
/// </summary>
[Agent("order", Version = "1")]
internal sealed class OrderAgent(Warehouse warehouse) : IAgent
{
    private static readonly TimeSpan ThinkOver = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PayWithin = TimeSpan.FromMinutes(10);

    public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var left = await context.StepAsync("stock", () => warehouse.CountAsync());
        if (left == 0)
            return "sold out";

        var carriers = await context.WhenAllAsync(Quote("slow-boat"), Quote("express"));
        var best = carriers.MinBy(carrier => carrier.Price)!;

        await context.SleepAsync(ThinkOver);
        if (await context.WaitForSignalAsync("paid", PayWithin) is not { } paid)
            return "nobody paid in time";

        var decision = await context.ApproveAsync($"Ship a lamp to {context.Input} with {best.Name}?", new ApprovalOptions { Arguments = $"paid: {paid.Payload}" });
        if (!decision.Approved)
            return $"not shipped: {decision.Comment ?? "no reason given"}";

        // A parcel that may have left must not leave again: where a crash makes that unknown, the warehouse's book tells.
        return await context.StepAsync("ship", step => warehouse.ShipAsync(step.IdempotencyKey, context.Input, best.Name), new StepOptions<string>
        {
            Effect = EffectClass.AtMostOnce,
            Verify = step => warehouse.FindAsync(step.IdempotencyKey),
        });
    }

    /// <summary>Each carrier is asked by a child run, in a branch of its own.</summary>
    private static Func<IRunContext, Task<Carrier>> Quote(string carrier) => async branch =>
    {
        var child = await branch.SpawnAsync(new ChildSpec("quote", carrier));
        var end = await child.Ended;
        return end.Result?.Split(':') is [var name, var price] ? new Carrier(name, int.Parse(price, CultureInfo.InvariantCulture)) : new Carrier(carrier, int.MaxValue);
    };

    private sealed record Carrier(string Name, int Price);
}
