using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>
/// Says in words what a run does or waits for, since when, what wakes it, and what a person can do next. Pure.
/// </summary>
internal static class WhyRun
{
    /// <param name="work">What the run's journal leaves open.</param>
    /// <param name="inbox">Inputs that no owner has taken yet.</param>
    internal static WhyView Explain(RunRecord run, OpenWork work, IReadOnlyList<InboxInput> inbox, DateTimeOffset now)
    {
        var story = run.Status switch
        {
            RunStatus.Ready => Ready(run, now),
            RunStatus.Running => Running(run, work),
            RunStatus.Waiting => WhyWaiting.Tell(run, work, now),
            RunStatus.Paused => WhyPaused.Tell(run, work, now),
            _ => Ended(run, work),
        };
        if (!run.Status.IsFinal())
        {
            foreach (var input in inbox)
                story.Facts.Add($"{Input(input.Kind)} was recorded {Ago(now - input.At)} and its owner takes it up next");
            if (run.MinEngine > EngineVersion.Level)
                story.Facts.Add($"a newer server has driven it (level {run.MinEngine}, this one reads up to {EngineVersion.Level}), and only such a one goes on with it");
            if (run.Suspicion > 0)
                story.Facts.Add($"the server died {Times(run.Suspicion)} while this run was at work{(run.LoneCrashes > 0 ? $", {Times(run.LoneCrashes)} with no other at work" : "")}");
            if (run.Status != RunStatus.Paused)
                story.Do($"caisson pause {run.Id}", "stops it at its next step");
            story.Do($"caisson cancel {run.Id}", "ends it");
        }

        if (work.Unreadable > 0)
        {
            story.Facts.Add($"{work.Unreadable} entries of its journal cannot be read");
            story.Do($"caisson journal {run.Id} --verify", "says what is wrong with its journal");
        }

        return new WhyView
        {
            Run = run.Id.ToString(),
            Agent = run.Agent,
            Status = run.Status,
            Waiting = run.Waiting,
            Paused = run.Paused,
            Doing = story.Doing,
            Since = story.Since,
            Wakes = story.Wakes,
            Facts = story.Facts,
            Next = story.Next,
        };
    }

    private static WhyStory Ready(RunRecord run, DateTimeOffset now)
    {
        var later = run.DueAt is { } due && due > now;
        var story = new WhyStory(
            later ? $"is to start at {run.DueAt:u}" : run.Epoch == 0 ? "waits for a server to start it" : "was let go by its server and waits for the next one",
            run.UpdatedAt,
            later ? $"its time, in {Span(run.DueAt!.Value - now)}" : "the sweep of a running server, twice a second");
        if (!later)
            story.Do("caisson ps --status running", "shows what keeps servers busy: engine.max_concurrent_runs bounds them");
        return story;
    }

    private static WhyStory Running(RunRecord run, OpenWork work)
    {
        var story = new WhyStory(
            run.Summary.CurrentStep is { } step ? $"is at work: {step}" : "is at work between two steps",
            work.LastClaim?.At ?? run.UpdatedAt,
            "its server; should that die, the next one goes on from the journal");
        story.Facts.Add($"epoch {run.Epoch}{(run.Owner is { } owner ? $", owned by node {owner}" : "")}; {run.Summary.Steps} steps are done");
        if (work.Last is { } last)
            story.Facts.Add($"its last entry is {last.Seq}, {last.Kind}, of {last.At:u}");
        if (run.Summary.Detail is { } detail)
            story.Facts.Add(detail);
        Open(run, work, story);
        story.Do($"caisson logs {run.Id} -f", "follows what it does");
        return story;
    }

    private static WhyStory Ended(RunRecord run, OpenWork work)
    {
        var failure = run.Summary.Failure;
        var story = new WhyStory(
            run.Status switch
            {
                RunStatus.Failed => $"has failed{(failure is null ? "" : $": {failure.Code}: {failure.Message}")}",
                RunStatus.Cancelled => $"was cancelled{(run.Summary.Detail is { } reason ? ": " + reason : "")}",
                _ => "has completed",
            },
            run.EndedAt ?? run.UpdatedAt,
            wakes: null);
        story.Facts.Add("nothing is ever added to a run that has ended");
        if (run.Status == RunStatus.Completed)
            story.Do($"caisson get {run.Id}", "shows its result");
        else
            story.Do($"caisson trace {run.Id}", "shows where it ended");
        if (work.LastResult > 0)
            story.Do($"caisson fork {run.Id} --at {work.LastResult}", "starts another run that goes on from there");
        return story;
    }

    /// <summary>What may also be under way, whatever the run's one status says.</summary>
    internal static void Open(RunRecord run, OpenWork work, WhyStory story)
    {
        foreach (var unknown in work.Unknowns.Items)
            Unknown(run, unknown, story);
        foreach (var approval in work.Approvals.Items)
        {
            story.Facts.Add($"approval {Key(approval.Key)} is open: {approval.Asked.Question}");
            Decide(run, approval, story);
        }

        foreach (var timer in work.Timers)
            story.Facts.Add($"{(timer.Name.Length == 0 ? "a timer" : $"timer '{timer.Name}'")} fires at {timer.DueAt:u}");
        foreach (var child in work.Children)
            story.Facts.Add($"child {child.Child} of agent {child.Agent} has not ended{(child.Detached ? " (detached)" : "")}");
    }

    internal static void Decide(RunRecord run, PendingApproval approval, WhyStory story)
    {
        story.Do($"caisson approve {run.Id} {Key(approval.Key)}", "says yes");
        story.Do($"caisson deny {run.Id} {Key(approval.Key)}", "says no");
    }

    internal static void Unknown(RunRecord run, OpenUnknown unknown, WhyStory story)
    {
        story.Facts.Add($"{Words.Of(unknown.Asked.Step.Kind)} step {Key(unknown.Key)} '{unknown.Asked.Step.Name}' was under way when its server died at {unknown.At:u}: nobody knows whether it took effect");
        story.Do($"caisson resolve {run.Id} {Key(unknown.Key)} --done --result JSON", "says that it took effect, and what it answered");
        story.Do($"caisson resolve {run.Id} {Key(unknown.Key)} --not-done", "lets it run again");
        story.Do($"caisson resolve {run.Id} {Key(unknown.Key)} --skip", "goes on without it: the agent is told that it failed");
    }

    internal static string Key(string key) => key.Length > 12 ? key[..12] : key;

    internal static string Span(TimeSpan time) => Durations.Text(TimeSpan.FromSeconds(Math.Max(1, Math.Ceiling(time.TotalSeconds))));

    private static string Ago(TimeSpan time) => time < TimeSpan.FromSeconds(1) ? "just now" : $"{Span(time)} ago";

    private static string Times(int count) => count == 1 ? "once" : $"{count} times";

    private static string Input(InputKind kind) => kind switch
    {
        InputKind.Cancel => "a cancel",
        InputKind.Pause => "a pause",
        InputKind.Resume => "a resume",
        InputKind.Raise => "a change of its limits",
        InputKind.Signal => "a signal",
        InputKind.Approval => "a decision",
        InputKind.ChildEnded => "the end of a child",
        InputKind.Resolve => "the outcome of a step",
        _ => "a wake-up",
    };
}

/// <summary>The answer in the making.</summary>
internal sealed class WhyStory(string doing, DateTimeOffset since, string? wakes)
{
    internal string Doing { get; } = doing;

    internal DateTimeOffset Since { get; } = since;

    internal string? Wakes { get; } = wakes;

    internal List<string> Facts { get; } = [];

    internal List<WhyNext> Next { get; } = [];

    internal void Do(string command, string effect)
    {
        if (!Next.Exists(next => next.Command == command))
            Next.Add(new WhyNext(command, effect));
    }
}
