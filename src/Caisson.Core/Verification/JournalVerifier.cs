using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Verification;

/// <summary>
/// Holds a journal against the engine's invariants, entry by entry: order and epochs, the chain of hashes, steps that
/// complete once, ends that had a beginning, inputs taken once, nothing after the end, and a row that says the same.
/// Pure; memory holds names, never results.
/// </summary>
internal sealed class JournalVerifier(RunId run)
{
    private readonly ChainCheck _chain = new(run);
    private readonly StepCheck _steps = new();
    private readonly PairCheck _pairs = new();
    private readonly ProjectionCheck _projection = new();
    private long _seq;
    private long _epoch;
    private long _endedAt;

    internal FindingList Found { get; } = new();

    internal long LastSeq => _seq;

    /// <param name="entry">As stored.</param>
    /// <param name="content">Its body, from its blob where it stands in one; <c>null</c> where that is lost.</param>
    /// <returns>The body, where it could be read.</returns>
    internal EntryBody? Add(JournalEntry entry, ReadOnlyMemory<byte>? content)
    {
        var gap = entry.Seq != _seq + 1;
        if (gap)
            Found.Add(entry.Seq, FindingCode.SeqGap, $"entry {entry.Seq} follows entry {_seq}");
        if (_seq == 0 != (entry.Kind == EntryKind.RunCreated) && !(gap && _seq == 0))
            Found.Add(entry.Seq, FindingCode.CreatedMisplaced, $"{(_seq == 0 ? "the journal begins with" : "in the middle of the journal stands")} {entry.Kind}");
        if (_endedAt > 0)
            Found.Add(entry.Seq, FindingCode.AfterEnd, $"{entry.Kind} after the run's end at entry {_endedAt}");
        CheckEpoch(entry);
        _chain.Add(entry, gap, Found);
        var body = content is { } json ? Read(entry, json) : null;
        if (body is EntryBody.Drift { WentLive: true } drift)
        {
            _steps.Branch(drift.Report.Seq);
            _pairs.Branch(drift.Report.Seq);
        }
        else if (body is not null)
        {
            _steps.Add(entry, body, Found);
            _pairs.Add(entry, body, Found);
        }

        _projection.Add(content is { } there ? entry with { Body = there } : entry, body);
        if (entry.Kind == EntryKind.RunEnded && _endedAt == 0)
            _endedAt = entry.Seq;
        _seq = Math.Max(_seq, entry.Seq);
        _epoch = Math.Max(_epoch, entry.Epoch);
        return body;
    }

    /// <summary>Compares with the run's row, as it stood when the journal ended here.</summary>
    internal void Finish(RunRecord row)
    {
        if (row.LastSeq > _seq)
            Found.Add(_seq, FindingCode.TailMissing, $"the journal ends with entry {_seq}, the run's row counts {row.LastSeq}");
        else
            _projection.Compare(row, _epoch, _seq, Found);
    }

    private void CheckEpoch(JournalEntry entry)
    {
        if (entry.Epoch < _epoch)
            Found.Add(entry.Seq, FindingCode.EpochFell, $"{entry.Kind} of epoch {entry.Epoch} after epoch {_epoch}");
        else if (entry.Epoch > _epoch && entry.Kind != EntryKind.EpochClaimed)
            Found.Add(entry.Seq, FindingCode.EpochUnclaimed, $"{entry.Kind} of epoch {entry.Epoch}, which nobody claimed");
        else if (entry.Epoch == _epoch && entry.Kind == EntryKind.EpochClaimed)
            Found.Add(entry.Seq, FindingCode.EpochReused, $"epoch {entry.Epoch} is claimed, and was the run's epoch before");
    }

    private EntryBody? Read(JournalEntry entry, ReadOnlyMemory<byte> json)
    {
        if (!Enum.IsDefined(entry.Kind))
        {
            Found.Add(entry.Seq, FindingCode.KindUnknown, $"kind {(int)entry.Kind} is not known to this version");
            return null;
        }

        try
        {
            var body = EntryBodies.Read(entry.Kind, json);
            if (Lacks(entry.Kind, body) is not { } lack)
                return body;
            Found.Add(entry.Seq, FindingCode.BodyInvalid, $"{entry.Kind} says nothing of its {lack}");
        }
        catch (CaissonException problem)
        {
            Found.Add(entry.Seq, FindingCode.BodyInvalid, $"{problem.Message}");
        }

        return null;
    }

    /// <summary>What a body must say to be of any use; JSON that lacks it reads all the same.</summary>
    private static string? Lacks(EntryKind kind, EntryBody body) => body switch
    {
        EntryBody.RunCreated { Manifest: null } => "manifest",
        EntryBody.ChildSpawned { Child: null } or EntryBody.ChildEnded { Child: null } => "child",
        EntryBody.SignalConsumed { InputId: null } => "input",
        EntryBody.StepResolved { How: null } => "outcome",
        EntryBody.LimitRaised { Limits: null } => "limits",
        EntryBody.Drift { Report: null } => "report",
        EntryBody.Replayed { Levels: null } => "levels",
        EntryBody.WorkspaceKept { Keep: not (WorkspaceKeep.Artifacts or WorkspaceKeep.None) } => "choice",
        EntryBody.RunEnded ended when !ended.Status.IsFinal() => "final status",
        _ when kind is EntryKind.StepStarted or EntryKind.StepCompleted or EntryKind.StepFailed or EntryKind.StepUnknown or EntryKind.StepResolved or EntryKind.EgressIntended
            && StepCheck.StepOf(body) is null or { Name: null } => "step",
        _ => null,
    };
}
