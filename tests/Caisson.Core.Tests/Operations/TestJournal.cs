using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Operations;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

/// <summary>A journal as the store would keep it, written entry by entry.</summary>
internal sealed class TestJournal
{
    internal static readonly RunId Run = RunId.Parse("0194f2c8-0000-7000-8000-000000000001");
    internal static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(55);

    private readonly List<JournalEntry> _entries = [];
    private long _epoch;

    internal IReadOnlyList<JournalEntry> Entries => _entries;

    /// <summary>With the hash of each entry, as the store writes it.</summary>
    internal IReadOnlyList<JournalEntry> Chained => Chain(_entries);

    internal IReadOnlyList<ReadEntry> Read => [.. Chained.Select(e => new ReadEntry(e, e.Body))];

    internal OpenWork Work
    {
        get
        {
            var work = new OpenWork();
            foreach (var entry in _entries)
                work.Add(entry);
            return work;
        }
    }

    internal static AgentManifest Code => new() { Name = "agent", Code = "agent" };

    internal static TestJournal Begin(AgentManifest? manifest = null, string input = "hello") =>
        new TestJournal().Add(new EntryBody.RunCreated(manifest ?? Code, "hash", input, "0.0.1", new Dictionary<string, string> { ["team"] = "blue" })).Claim();

    internal static IReadOnlyList<JournalEntry> Chain(IEnumerable<JournalEntry> entries)
    {
        var previous = Array.Empty<byte>();
        var chained = new List<JournalEntry>();
        foreach (var entry in entries)
        {
            previous = JournalChain.Next(previous, Run, entry);
            chained.Add(entry with { Chain = previous });
        }

        return chained;
    }

    internal TestJournal Add(EntryBody body, string? key = null, int attempt = 0, string? result = null, string? blob = null)
    {
        var seq = _entries.Count + 1;
        _entries.Add(new JournalEntry(seq, _epoch, Start.AddSeconds(seq), Enum.Parse<EntryKind>(body.GetType().Name), "", key, attempt,
            EntryBodies.Write(body), result is null ? null : Encoding.UTF8.GetBytes(result), blob));
        return this;
    }

    internal TestJournal Claim(string reason = "start")
    {
        _epoch++;
        return Add(new EntryBody.EpochClaimed("node", reason, []));
    }

    internal TestJournal Started(string key, int attempt = 1, EffectClass? effect = null, StepSubject? step = null) =>
        Add(new EntryBody.StepStarted(step ?? Named(key), effect is null ? new Hold(10, 10) : null, effect), key, attempt);

    internal TestJournal Failed(string key, int attempt = 1) =>
        Add(new EntryBody.StepFailed(Named(key), new Failure("broken", "not now", true), HoldFate.Release, Start.AddHours(1)), key, attempt);

    internal TestJournal Completed(string key, int attempt = 1, StepSubject? step = null, Usage? usage = null, string? workspace = null, string? result = "{}", string? blob = null) =>
        Add(new EntryBody.StepCompleted(step ?? Named(key), usage, 5, null, workspace), key, attempt, blob is null ? result : null, blob);

    internal TestJournal Unknown(string key) =>
        Add(new EntryBody.StepUnknown(Named(key), EffectClass.AtMostOnce, UnknownPolicy.AskHuman), key);

    internal TestJournal Resolved(string key, string how) =>
        Add(new EntryBody.StepResolved(Named(key), how, "me", null), key, result: how == "set" ? "1" : null);

    internal TestJournal Asked(string key, string question = "may I?", DateTimeOffset? expires = null, int approvers = 1) =>
        Add(new EntryBody.ApprovalRequested(question, "binding", expires, approvers), key);

    internal TestJournal Decided(string key, bool approved = true) => Add(new EntryBody.ApprovalDecided(approved, ["me"], null, false), key);

    internal TestJournal Spawned(string child, bool detached = false) => Add(new EntryBody.ChildSpawned(child, "worker", detached), "spawn-" + child);

    internal TestJournal ChildEnded(string child) => Add(new EntryBody.ChildEnded(child, RunStatus.Completed, "fine", null), "spawn-" + child);

    internal TestJournal TimerSet(string key, int seconds = 60) => Add(new EntryBody.TimerSet("nap", Start.AddSeconds(seconds)), key);

    internal TestJournal TimerFired(string key) => Add(new EntryBody.TimerFired(), key);

    internal TestJournal Signal(string input, string name = "go") => Add(new EntryBody.SignalConsumed(input, name, "{}", "me"));

    internal TestJournal Paused(PauseCause cause, string detail = "because") => Add(new EntryBody.Paused(cause, detail));

    internal TestJournal Resumed() => Add(new EntryBody.Resumed("me"));

    internal TestJournal Ended(RunStatus status = RunStatus.Completed) => Add(new EntryBody.RunEnded(status, "done", null));

    /// <summary>The run's row as a store would have it after the last entry.</summary>
    internal RunRecord Row(RunStatus status = RunStatus.Running, WaitReason waiting = WaitReason.None, PauseCause paused = PauseCause.None, RunSummary? summary = null) => new(
        Run, "agent", status, waiting, paused, Start, Start.AddMinutes(1), status.IsFinal() ? Start.AddMinutes(1) : null, null, null, _epoch, _entries.Count,
        summary ?? new RunSummary(), BudgetState.None, BudgetState.None);

    internal static StepSubject Named(string name) => new(StepKind.Named, name, "args", null, null);

    internal static StepSubject Tool(string name) => new(StepKind.Tool, name, "args", "call_0", null);

    internal static StepSubject Model(string name) => new(StepKind.Model, name, "args", null, null);
}
