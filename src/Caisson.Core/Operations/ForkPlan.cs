using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <param name="At">The last entry to bring along; <c>null</c> for the last one with a result.</param>
/// <param name="Input">In place of the parent's.</param>
/// <param name="Admin">Whether limits may be lifted above the manifest's.</param>
public sealed record ForkSpec(long? At, string? Input, RunOverrides Limits, ForkEffects Effects, bool Admin);

internal abstract record ForkPlanOutcome
{
    internal sealed record Planned(ForkPlan Plan) : ForkPlanOutcome;

    internal sealed record Refused(Failure Failure) : ForkPlanOutcome;
}

/// <summary>
/// How the journal of a fork begins: its own RunCreated and ForkedFrom, then copies of the parent's entries that carry
/// results. What only tells of the parent's own life (claims, pauses, raised limits, its end) stays behind, and so do
/// children that were still running: they are the parent's, and the fork spawns its own. A step that was open stays
/// open, and its effect class decides what becomes of it. Pure: entries in, drafts out.
/// </summary>
/// <param name="Seq">The place in the parent.</param>
/// <param name="Created">Manifest and input, overridden.</param>
/// <param name="Copies">What follows ForkedFrom.</param>
/// <param name="Summary">What the entries add up to.</param>
/// <param name="Blobs">Everything that must be there for the copies to be read and the workspace to be restored, the root included.</param>
internal sealed record ForkPlan(
    RunId Parent, long Seq, EntryBody.RunCreated Created, EntryBody.ForkedFrom From, IReadOnlyList<JournalDraft> Copies, RunSummary Summary, IReadOnlyList<string> Blobs)
{
    /// <summary>Of the parent's first entry: the agent's time begins there, in the fork's replay as in the parent's.</summary>
    internal required DateTimeOffset CreatedAt { get; init; }

    /// <summary>A fork is one transaction of the store's only writer, which others wait for.</summary>
    internal const int MaxEntries = 20_000;

    internal const long MaxBytes = 64L << 20;

    /// <summary>After these a replay can stand: what follows has not begun, or shows as begun.</summary>
    internal static bool CarriesResult(EntryKind kind) => kind is EntryKind.RunCreated or EntryKind.StepCompleted or EntryKind.StepResolved
        or EntryKind.SignalConsumed or EntryKind.TimerFired or EntryKind.ChildEnded or EntryKind.ApprovalDecided or EntryKind.Snapshot or EntryKind.WorkspaceSaved;

    internal static Failure? TooLarge(int entries, long bytes) => entries <= MaxEntries && bytes <= MaxBytes
        ? null
        : new Failure(ErrorCodes.PayloadTooLarge, FormattableString.Invariant($"at: a fork brings at most {MaxEntries} entries of together {Sizes.Text(MaxBytes)}, and more lie before that place: choose an earlier one"));

    /// <param name="entries">The parent's journal from its beginning, as far as it goes or at least to the place.</param>
    /// <param name="fork">The new run.</param>
    internal static ForkPlanOutcome Make(RunRecord parent, IReadOnlyList<ReadEntry> entries, ForkSpec spec, RunId fork)
    {
        var places = entries.Where(e => CarriesResult(e.Stored.Kind)).Select(e => e.Stored.Seq).ToList();
        var at = spec.At ?? places.LastOrDefault();
        if (at < 1 || at > parent.LastSeq)
            return Refuse(ErrorCodes.RequestInvalid, $"at: found {at}, allowed is 1 to {parent.LastSeq}, the entries of run {parent.Id}");
        if (!places.Contains(at))
        {
            var kind = entries.FirstOrDefault(e => e.Stored.Seq == at).Stored?.Kind.ToString() ?? "entry";
            var before = places.LastOrDefault(place => place < at);
            return Refuse(ErrorCodes.RequestInvalid, $"at: entry {at} is a {kind}, after which no replay can stand: the place before it is {before}; 'caisson journal {parent.Id}' shows all");
        }

        var prefix = entries.Where(e => e.Stored.Seq <= at).ToList();
        if (prefix[0].Stored.Kind != EntryKind.RunCreated)
            return Refuse(ErrorCodes.DatabaseCorrupt, $"the journal of run {parent.Id} does not begin with its creation: 'caisson journal {parent.Id} --verify' says more");
        if (TooLarge(prefix.Count, prefix.Sum(e => e.Bytes)) is { } large)
            return new ForkPlanOutcome.Refused(large);
        var created = JournalJson.Read<EntryBody.RunCreated>(prefix[0].Body);
        var copied = ForkCopies.Of(prefix);
        if (LetGo(parent, copied) is { } gone)
            return Refuse(ErrorCodes.BlobMissing, $"at: run {parent.Id} kept {(parent.Summary.Kept == WorkspaceKeep.None ? "none of its files" : "only its artifacts")} when it ended, and a fork at entry {at} needs those of entry {gone}: the last place that needs none is {places.Last(place => place < gone)}");
        if (spec.Input is not null && spec.Input != created.Input && created.Manifest.Loop is not null && copied.Count > 0)
            return Refuse(ErrorCodes.RequestInvalid, $"input: a loop agent's steps all follow from its input, so recorded ones do not fit another: fork at entry 1, or start a run");
        var (manifest, failure) = LimitOverrides.Apply(created.Manifest, spec.Limits, spec.Admin);
        if (failure is not null)
            return new ForkPlanOutcome.Refused(failure);

        // What the journal was last found to fit counts, not what it began with: another build has to show that it fits, too.
        var build = prefix.LastOrDefault(e => e.Stored.Kind == EntryKind.VersionAdopted) is { Stored: not null } adopted ? JournalJson.Read<EntryBody.VersionAdopted>(adopted.Body).To : created.Build;
        created = created with { Manifest = manifest, Input = spec.Input ?? created.Input, Engine = EngineVersion.Text, Build = build };
        var from = new EntryBody.ForkedFrom(parent.Id.ToString(), at, fork.ToString(), spec.Effects) { Seeds = ForkCopies.Seeds(parent.Id, prefix, copied) };
        var summary = Summarise(prefix[0].Stored, created, from, copied);
        var blobs = copied.Where(e => e.Stored.Blob is not null).Select(e => e.Stored.Blob!);
        if (summary.WorkspaceRoot is { } root)
            blobs = blobs.Append(root);
        return new ForkPlanOutcome.Planned(new ForkPlan(parent.Id, at, created, from, ForkCopies.Drafts(copied), summary, [.. blobs.Distinct(StringComparer.Ordinal)]) { CreatedAt = prefix[0].Stored.At });
    }

    /// <summary>
    /// The first copied entry whose files the parent let go. Whether they are swept by now does not matter: a fork whose
    /// journal names them would refer to them, and a sweep that is under way would take them all the same.
    /// </summary>
    private static long? LetGo(RunRecord parent, List<ReadEntry> copied) => parent.Summary.Kept is null
        ? null
        : copied.FirstOrDefault(e => e.Stored.Kind == EntryKind.StepCompleted
            && JournalJson.Read<EntryBody.StepCompleted>(e.Body).Workspace is { } root && root != parent.Summary.WorkspaceRoot).Stored?.Seq;

    /// <summary>By the same reading that the fork's owner will do.</summary>
    private static RunSummary Summarise(JournalEntry first, EntryBody.RunCreated created, EntryBody.ForkedFrom from, List<ReadEntry> copied)
    {
        var history = new RunHistory();
        history.Add(first with { Seq = 1, Body = JournalJson.Write(created), Blob = null });
        history.Add(new JournalEntry(2, 0, first.At, EntryKind.ForkedFrom, "", null, 0, JournalJson.Write(from), null, null));
        foreach (var entry in copied)
            history.Add(entry.Entry with { Seq = history.LastSeq + 1, Payload = null });
        return new RunSummary
        {
            Steps = history.Steps,
            ToolCalls = history.ToolCalls,
            ModelCalls = history.ModelCalls,
            Children = history.Children.Count,
            InputTokens = history.InputTokens,
            OutputTokens = history.OutputTokens,
            WorkspaceRoot = history.WorkspaceRoot,
            Artifacts = created.Manifest.Workspace.Artifacts,
            Labels = created.Labels,
        };
    }

    private static ForkPlanOutcome.Refused Refuse(string code, FormattableString message) => new(new Failure(code, FormattableString.Invariant(message)));
}
