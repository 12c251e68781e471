using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>Why a run stands paused, and what ends that. Nothing goes on by itself here.</summary>
internal static class WhyPaused
{
    internal static WhyStory Tell(RunRecord run, OpenWork work, DateTimeOffset now)
    {
        var story = new WhyStory(Doing(run.Paused), work.LastPaused?.At ?? run.UpdatedAt, wakes: null);
        if (run.Summary.Detail is { } detail)
            story.Facts.Add(detail);
        switch (run.Paused)
        {
            case PauseCause.RetryExhausted:
                if (work.LastFailure is { } failure)
                    story.Facts.Add($"the last attempt, {failure.Entry.Attempt}, of {Words.Of(failure.Body.Step.Kind)} step '{failure.Body.Step.Name}': {failure.Body.Failure.Code}: {failure.Body.Failure.Message}");
                story.Do($"caisson trace {run.Id}", "shows what failed");
                Retry(run, story, "tries the step again, once its cause is mended");
                break;
            case PauseCause.Drift:
                if (work.LastDrift is { } drift)
                    story.Facts.Add($"entry {drift.Body.Report.Seq} records {drift.Body.Report.Recorded}; the agent now asks for {drift.Body.Report.Asked}");
                Retry(run, story, "replays again, once the agent takes its old way");
                Fork(run, work.LastDrift is { } where ? where.Body.Report.Seq - 1 : work.LastResult, story);
                break;
            case PauseCause.Budget:
                Budget(run, work, story, now);
                break;
            case PauseCause.Loop:
                story.Do($"caisson trace {run.Id}", "shows what it repeated");
                story.Do($"caisson resume {run.Id}", "lets it go on, the guard's counters at zero");
                story.Do($"caisson resume {run.Id} --loop-repeats N", "lets it repeat itself more often");
                break;
            case PauseCause.Corrupt:
                story.Do($"caisson journal {run.Id} --verify", "says what is wrong with its journal");
                Retry(run, story, "reads it again, once a backup is restored");
                break;
            case PauseCause.Poison:
                story.Do($"caisson bundle {run.Id} -o {WhyRun.Key(run.Id.ToString())}.json", "writes what a bug report needs");
                Retry(run, story, "lets it try again; it may take the server down once more");
                break;
            case PauseCause.Version:
                Retry(run, story, "replays again, once the old build or a fitting one runs");
                Fork(run, work.LastResult, story);
                break;
            case PauseCause.Restored:
                story.Facts.Add("what it did after the state that was restored is not in its journal, and may happen again");
                story.Do($"caisson journal {run.Id}", "shows how far the restored state goes");
                Retry(run, story, "goes on from there");
                break;
            case PauseCause.Unknown when work.Unknowns.Items.Count == 0:
                Retry(run, story, "goes on: every step is resolved");
                break;
            case PauseCause.Unknown:
                break;
            default:
                story.Do($"caisson resume {run.Id}", "lets it go on");
                break;
        }

        WhyRun.Open(run, work, story);
        return story;
    }

    private static string Doing(PauseCause cause) => cause switch
    {
        PauseCause.Operator => "stands paused because somebody asked for it",
        PauseCause.RetryExhausted => "stands paused: a step failed as often as its retries allow",
        PauseCause.Drift => "stands paused: its agent asked for something other than its journal has",
        PauseCause.Budget => "stands paused at a limit",
        PauseCause.Loop => "stands paused because it repeated itself",
        PauseCause.Corrupt => "stands paused because its journal cannot be read",
        PauseCause.Poison => "stands paused because the server kept dying while it was at work",
        PauseCause.Version => "stands paused: the agent's new build takes another way than its journal",
        PauseCause.Restored => "stands paused because the database was put back to an earlier state",
        PauseCause.Unknown => "stands paused: somebody must say how an interrupted step came out",
        _ => "stands paused",
    };

    private static void Retry(RunRecord run, WhyStory story, string effect) => story.Do($"caisson retry {run.Id}", effect);

    private static void Fork(RunRecord run, long at, WhyStory story)
    {
        if (at > 0)
            story.Do($"caisson fork {run.Id} --at {at}", "starts another run that goes on from there with the agent as it is now");
    }

    private static void Budget(RunRecord run, OpenWork work, WhyStory story, DateTimeOffset now)
    {
        var own = BudgetNodes.Of(run.Id);
        if (work.LastLimit is { } limit && limit.Node != own)
        {
            // The cap that holds it back is not its own: raising its own would change nothing.
            story.Do($"caisson budget get {limit.Node}", "shows the limit that it stands at");
            story.Do($"caisson budget set {limit.Node} {Flag(limit.Dimension)} N", $"raises it; it is {BudgetDimensions.Text(limit.Dimension, limit.Cap)}");
            story.Do($"caisson resume {run.Id}", "lets it go on after that");
            return;
        }

        if (LimitOverrides.StillReached(run, new RaisedLimits(), now) is { } still)
            story.Facts.Add(still.Message);
        story.Do($"caisson budget get {run.Id}", "shows what is spent");
        var dimension = run.Summary.LimitAt ?? work.LastLimit?.Dimension ?? LimitDimension.NanoUsd;
        var least = run.Summary.LimitNeeds is { } needs ? BudgetDimensions.Text(dimension, needs) : dimension == LimitDimension.Deadline ? "TIME" : "N";
        story.Do($"caisson resume {run.Id} {ResumeFlag(dimension)} {least}", "raises the limit and lets it go on");
    }

    private static string Flag(LimitDimension dimension) => "--" + BudgetDimensions.Name(dimension).Replace('_', '-');

    private static string ResumeFlag(LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => "--budget-usd",
        LimitDimension.Tokens => "--budget-tokens",
        LimitDimension.Deadline => "--deadline",
        _ => "--max-" + Words.Of(dimension).Replace('_', '-'),
    };
}
