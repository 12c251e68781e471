using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;

namespace MainJob;

/// <param name="RecoveryMs">From the kill to the claim by the restarted server.</param>
internal sealed record CrashReport(long Steps, int ExecutedTwice, int Paid, int PaidTwice, int InDoubt, long RecoveryMs, RunStatus Status);

/// <summary>Crashed at minute thirty-eight: the server is killed with SIGKILL in step 38 of 40.</summary>
internal static class CrashIncident
{
    private const int KillInStep = 38;

    internal static async Task<CrashReport> PlayAsync(Deployment deployment, World world, string agent)
    {
        var client = deployment.Client;
        var (run, _) = await client.CreateRunAsync(new CreateRunRequest(await File.ReadAllTextAsync(agent), "inventory.yaml", "Take stock of /usr/share/doc."), null, default);
        Console.WriteLine($"      run {run.Id}");
        DateTimeOffset? killedAt = null;
        long recovered = -1;
        var completed = 0;
        await foreach (var entry in client.FollowAsync(run.Id, new FollowOptions { Payloads = true }, default))
        {
            switch (entry.Kind)
            {
                case "step_completed":
                    completed++;
                    Console.WriteLine($"      step {completed,2}  {Describe(entry)}");
                    break;
                case "epoch_claimed" when killedAt is { } at:
                    recovered = (long)(entry.At - at).TotalMilliseconds;
                    Console.WriteLine($"      --------  the server is back after {recovered} ms and owns the run again (epoch {entry.Epoch})");
                    break;
            }

            if (completed == KillInStep - 1 && killedAt is null)
                killedAt = await KillAsync(deployment, run.Id);
        }

        var end = await client.RetryAsync(ct => client.GetRunAsync(run.Id, ct), CaissonClient.DefaultPatience, default);
        var journal = await JournalAsync(client, run.Id);
        Console.WriteLine($"      {Words(end.Status)}: {end.Result ?? end.Detail}");
        if (end.Status != RunStatus.Completed)
            return new CrashReport(end.Steps, 0, 0, 0, 0, recovered, end.Status);
        Console.WriteLine();
        foreach (var line in Encoding.UTF8.GetString(await client.ReadFileAsync(run.Id, "report.md", default)).Split('\n'))
            Console.WriteLine("      | " + line);
        return new CrashReport(end.Steps, await ExecutedTwiceAsync(client, run.Id, journal), AnsweredCalls(world.ModelLog, run.Id).Count, PaidTwice(world.ModelLog, run.Id, journal), InDoubt(journal), recovered, end.Status);
    }

    internal static async Task<List<JournalEntryView>> JournalAsync(CaissonClient client, string run)
    {
        var journal = new List<JournalEntryView>();
        await foreach (var entry in client.ReadJournalAsync(run, 0, payloads: true, default))
            journal.Add(entry);
        return journal;
    }

    /// <summary>Waits until step 38 is under way in the box, then kills.</summary>
    private static async Task<DateTimeOffset> KillAsync(Deployment deployment, string run)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while ((await deployment.Client.GetRunAsync(run, limit.Token)).CurrentStep?.StartsWith("tool", StringComparison.Ordinal) != true)
            limit.Token.ThrowIfCancellationRequested();
        var pid = deployment.ServerPid();
        Console.WriteLine($"      --------  step {KillInStep} is under way: kill -9 {pid}");
        using var victim = Process.GetProcessById(pid);
        var at = TimeProvider.System.GetUtcNow();
        victim.Kill();
        await victim.WaitForExitAsync();
        return at;
    }

    /// <summary>
    /// Completed steps that ran again. Each shell step drew a random mark, put it into the workspace and showed it: a
    /// second execution would leave a mark that its journaled answer does not show, or two of them.
    /// </summary>
    private static async Task<int> ExecutedTwiceAsync(CaissonClient client, string run, List<JournalEntryView> journal)
    {
        var completions = journal.Where(e => e.Kind == "step_completed").GroupBy(e => e.Key).Sum(g => g.Count() - 1);
        var marks = Encoding.UTF8.GetString(await client.ReadFileAsync(run, "marks.txt", default)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var shown = journal.Where(e => e.Kind == "step_completed").Select(e => e.Result?.ToString() ?? "").ToList();
        var strays = marks.Count(mark => !shown.Any(text => text.Contains(mark, StringComparison.Ordinal)));
        var doubles = marks.GroupBy(m => m.Split(' ')[0]).Sum(g => g.Count() - 1);
        return completions + strays + doubles;
    }

    /// <summary>Calls whose answer the journal had and that the provider was asked, and answered, again.</summary>
    private static int PaidTwice(string log, string run, List<JournalEntryView> journal)
    {
        var doubtful = DoubtfulKeys(journal).ToHashSet();
        return AnsweredCalls(log, run).GroupBy(key => key).Where(g => !doubtful.Contains(g.Key)).Sum(g => g.Count() - 1);
    }

    private static int InDoubt(List<JournalEntryView> journal) => DoubtfulKeys(journal).Count();

    private static IEnumerable<string> DoubtfulKeys(List<JournalEntryView> journal) =>
        journal.Where(e => e.Kind == "epoch_claimed").SelectMany(e => e.Body.GetProperty("in_doubt").EnumerateArray()).Select(h => h.GetProperty("step_key").GetString()!);

    /// <summary>Step keys of a run's requests that the provider answered, by its own log: the idempotency key is RUN.STEP.</summary>
    private static List<string> AnsweredCalls(string log, string run)
    {
        var keys = new List<string>();
        foreach (var line in File.ReadLines(log))
        {
            using var entry = JsonDocument.Parse(line);
            if (entry.RootElement.GetProperty("event").GetString() == "answered"
                && entry.RootElement.GetProperty("idempotency_key").GetString()?.Split('.') is [var of, var key] && of == run)
                keys.Add(key);
        }

        return keys;
    }

    private static string Describe(JournalEntryView entry)
    {
        var step = entry.Body.GetProperty("step");
        var text = entry.Result is { } result && result.TryGetProperty("text", out var said) ? said.GetString() ?? "" : "";
        var line = text.Split('\n').FirstOrDefault(l => l.Length > 0 && !l.StartsWith('[')) ?? "";
        return $"{step.GetProperty("kind").GetString(),-5} {(line.Length > 90 ? line[..90] + "…" : line)}";
    }

    internal static string Words(RunStatus status) => status.ToString().ToLowerInvariant();
}
