using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>What a waiting run waits for.</summary>
internal static class WhyWaiting
{
    internal static WhyStory Tell(RunRecord run, OpenWork work, DateTimeOffset now)
    {
        var due = run.DueAt is { } at ? at > now ? $"its time: {at:u}, in {WhyRun.Span(at - now)}" : "its time, which has come: the next sweep takes it up" : null;
        var story = run.Waiting switch
        {
            WaitReason.Retry => Retry(run, work, due),
            WaitReason.Sandbox => Sandbox(run, due),
            WaitReason.Signal => Signal(run, due),
            WaitReason.Timer => Timer(run, work, due),
            WaitReason.Child => Child(run, work),
            WaitReason.Approval => Approval(run, work, now),
            WaitReason.Budget => Budget(run, due),
            WaitReason.Provider => Provider(run, due),
            _ => new WhyStory("waits", run.UpdatedAt, due ?? "an input"),
        };
        if (run.Summary.Detail is { } detail && !story.Facts.Contains(detail))
            story.Facts.Add(detail);
        WhyRun.Open(run, work, story);
        return story;
    }

    private static WhyStory Retry(RunRecord run, OpenWork work, string? due)
    {
        var story = new WhyStory(
            work.LastFailure is { } failed
                ? $"waits before it tries {Words.Of(failed.Body.Step.Kind)} step '{failed.Body.Step.Name}' again: attempt {failed.Entry.Attempt} failed"
                : "waits before it tries a failed step again",
            work.LastFailure?.Entry.At ?? run.UpdatedAt, due ?? "the next sweep");
        if (work.LastFailure is { } failure)
            story.Facts.Add($"{failure.Body.Failure.Code}: {failure.Body.Failure.Message}");
        story.Do($"caisson trace {run.Id}", "shows its attempts");
        return story;
    }

    private static WhyStory Sandbox(RunRecord run, string? due)
    {
        var story = new WhyStory("waits for a sandbox: none could be started", run.UpdatedAt, due ?? "the next sweep");
        story.Do("caisson doctor", "says what keeps sandboxes from starting");
        return story;
    }

    private static WhyStory Budget(RunRecord run, string? due)
    {
        var story = new WhyStory("waits for room under a budget that other calls hold", run.UpdatedAt, due is null ? "the end of one of them" : $"the end of one of them, or {due}");
        story.Do($"caisson budget get {run.Id}", "shows what is spent and held");
        return story;
    }

    private static WhyStory Provider(RunRecord run, string? due) =>
        new("waits for a model provider that takes no more calls now", run.UpdatedAt, due is null ? "its turn" : $"its turn, or {due}");

    private static WhyStory Signal(RunRecord run, string? due)
    {
        var story = new WhyStory("waits for a signal", run.UpdatedAt, due is null ? "the signal" : $"the signal, or {due}");
        story.Do($"caisson signal {run.Id} NAME --data JSON", "sends it one");
        return story;
    }

    private static WhyStory Timer(RunRecord run, OpenWork work, string? due) =>
        new("sleeps", work.Timers is [var next, ..] ? next.At : run.UpdatedAt, work.Timers is [var timer, ..] ? due ?? $"its time: {timer.DueAt:u}" : due ?? "the next sweep");

    private static WhyStory Child(RunRecord run, OpenWork work)
    {
        var story = new WhyStory(work.Children.Count > 1 ? $"waits for its {work.Children.Count} children" : "waits for its child", run.UpdatedAt, "the end of a child");
        foreach (var child in work.Children)
            story.Do($"caisson why {child.Child}", "says where the child stands");
        return story;
    }

    private static WhyStory Approval(RunRecord run, OpenWork work, DateTimeOffset now)
    {
        var open = work.Approvals.Items;
        var expires = open.Where(a => a.Asked.ExpiresAt is not null).Select(a => a.Asked.ExpiresAt!.Value).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();
        var story = new WhyStory(
            open is [var one] ? $"waits for a person's decision: {one.Asked.Question}" : $"waits for people's decisions, {open.Count} of them",
            open is [var first, ..] ? first.At : run.UpdatedAt,
            expires == DateTimeOffset.MaxValue ? "a decision" : expires > now ? $"a decision, or its expiry at {expires:u}, which counts as no" : "its expiry, which has come and counts as no");
        foreach (var approval in open)
        {
            if (approval.Asked.Approvers > 1)
                story.Facts.Add($"approval {WhyRun.Key(approval.Key)} needs {approval.Asked.Approvers} different people{(approval.Yes.Count == 0 ? "" : $"; {string.Join(", ", approval.Yes)} said yes")}");
            WhyRun.Decide(run, approval, story);
        }

        return story;
    }
}
