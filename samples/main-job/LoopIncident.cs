using System.Globalization;
using Caisson.Client;
using Caisson.Contracts;

namespace MainJob;

internal sealed record LoopReport(int StoppedAfter, bool PausedByLoop, bool PausedByBudget, decimal OvershootUsd, RunStatus Resumed);

/// <summary>Looped four thousand times: one agent repeats a call, another spends and spends. Both are paused; one is resumed with a larger budget.</summary>
internal static class LoopIncident
{
    internal static async Task<LoopReport> PlayAsync(CaissonClient client, string repeaterAgent, string spenderAgent)
    {
        var (repeater, _) = await client.CreateRunAsync(new CreateRunRequest(await File.ReadAllTextAsync(repeaterAgent), "repeater.yaml", "Is the build green?"), null, default);
        var (spender, _) = await client.CreateRunAsync(new CreateRunRequest(await File.ReadAllTextAsync(spenderAgent), "spender.yaml", "Think."), null, default);

        var loop = await UntilAsync(client, repeater.Id, RunStatus.Paused);
        var calls = (await CrashIncident.JournalAsync(client, loop.Id)).Count(e => e.Kind == "step_completed" && e.Body.GetProperty("step").GetProperty("kind").GetString() == "tool");
        Console.WriteLine($"      run {loop.Id}: {CrashIncident.Words(loop.Status)} by the loop guard after {calls} calls: {loop.Detail}");

        var poor = await UntilAsync(client, spender.Id, RunStatus.Paused);
        var overshoot = Math.Max(0, Usd(poor.SpentUsd) - Usd(poor.BudgetUsd));
        Console.WriteLine($"      run {poor.Id}: {CrashIncident.Words(poor.Status)} by its budget: ${poor.SpentUsd} of ${poor.BudgetUsd} spent: {poor.Detail}");

        Console.WriteLine($"      caisson resume {poor.Id} --budget-usd 1.00");
        await client.ResumeAsync(poor.Id, new RunOverrides(Usd: "1.00"), default);
        var rich = await UntilAsync(client, poor.Id, RunStatus.Completed);
        overshoot += Math.Max(0, Usd(rich.SpentUsd) - Usd(rich.BudgetUsd));
        Console.WriteLine($"      run {rich.Id}: {CrashIncident.Words(rich.Status)}: ${rich.SpentUsd} of ${rich.BudgetUsd} spent");
        return new LoopReport(calls, loop.Paused == PauseCause.Loop, poor.Paused == PauseCause.Budget, overshoot, rich.Status);
    }

    /// <summary>Follows the journal until the run stands where it should, or has ended.</summary>
    private static async Task<RunView> UntilAsync(CaissonClient client, string run, RunStatus status)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        var view = await client.GetRunAsync(run, limit.Token);
        await foreach (var _ in client.FollowAsync(run, new FollowOptions { After = 0 }, limit.Token))
        {
            view = await client.GetRunAsync(run, limit.Token);
            if (view.Status == status || view.Status.IsFinal())
                return view;
        }

        return await client.GetRunAsync(run, limit.Token);
    }

    private static decimal Usd(string? text) => decimal.Parse(text ?? "0", CultureInfo.InvariantCulture);
}
