using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Stores;
using Caisson.Core.Verification;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>One run as the writes tell it: its owner, its journal so far, what must be true of its row.</summary>
internal sealed class RunBook(RunId run, MemoryBlobs blobs)
{
    // What an entry says beside its content; a run's manifest is in its first one.
    private const int MostBodyBytes = 2_500;

    private readonly JournalVerifier _verifier = new(run);
    private readonly HashSet<Guid> _appends = [];
    private (NodeId? Owner, long Epoch) _owner;
    private bool _ended;

    internal RunId Run => run;

    internal (string, string)? Follow(Commit commit, MemoryRun? before, MemoryRun after)
    {
        if (_ended)
            return ("I12", $"run {run} has ended, and {commit.Operation} changed it");
        var known = _verifier.LastSeq;
        if (after.Journal.Count < known || (before is not null && before.Journal.Count != known))
            return ("acknowledged", $"run {run} had {known} entries, and {commit.Operation} found {before?.Journal.Count} and left {after.Journal.Count}");
        foreach (var (entry, _) in after.Journal.Skip((int)known))
        {
            if (entry.Kind != EntryKind.RunCreated && entry.Body.Length > MostBodyBytes)
                return ("I11", $"{entry.Kind} of run {run} has {entry.Body.Length} bytes beside its content");
            _verifier.Add(entry, entry.Body.IsEmpty && entry.Blob is { } address ? blobs.Content(address) : entry.Body);
        }

        _verifier.Finish(commit.After.Show(after));
        if (_verifier.Found.Items is [var first, ..])
            return (NumberOf(first.Code), $"run {run}, entry {first.Seq}: {first.Code}: {first.Text}");
        if (commit.Outcome is ClaimOutcome.Claimed claimed && claimed.Run.Id == run)
        {
            if (claimed.Run.Epoch <= _owner.Epoch)
                return ("I1", $"run {run} is claimed with epoch {claimed.Run.Epoch} after epoch {_owner.Epoch}");
            _owner = (claimed.Run.Owner, claimed.Run.Epoch);
            if (!after.Holds.IsEmpty)
                return ("I7", $"run {run} is claimed, and a hold of its last owner stays");
        }

        _ended = after.Record.Status.IsFinal();
        return Reason(after);
    }

    /// <summary>Only the owner of the last claim writes, and only while nobody holds it for dead. A unit may come twice.</summary>
    internal (string, string)? CheckFence(Commit commit, ChangeSet unit)
    {
        if (!_appends.Add(unit.AppendId))
            return ReferenceEquals(commit.Before, commit.After) ? null : ("I2", $"a unit of run {run} was written twice");
        if (unit.Fence.Epoch != _owner.Epoch || unit.Fence.Owner != _owner.Owner)
            return ("I1", $"run {run} took a write of epoch {unit.Fence.Epoch}, and epoch {_owner.Epoch} owns it");
        if (commit.After.Find(run)!.Record.LastSeq < unit.FirstSeq + unit.Entries.Count - 1)
            return ("acknowledged", $"run {run} was told that entry {unit.FirstSeq} is written, and it is not there");
        return commit.Before.IsAlive(unit.Fence.Owner) ? null : ("I1", $"run {run} took a write of a node that is held for dead");
    }

    internal (string, string)? CheckEnd(MemoryRun last) => last switch
    {
        { Holds.IsEmpty: false } => ("I7", $"run {run} is {last.Record.Status} and holds money"),
        { Record.Owner: not null } when last.Record.Status.IsFinal() => ("I4", $"run {run} has ended and has an owner"),
        _ => null,
    };

    /// <summary>Whatever happens to a live run's owner, something in the store wakes it.</summary>
    private (string, string)? Reason(MemoryRun after)
    {
        var record = after.Record;
        if (_ended || record.Owner is not null)
            return null;
        var lacks = record switch
        {
            { DueAt: not null } => null,
            _ when !after.Inbox.IsEmpty => "inputs wait, and it is not due",
            { Status: RunStatus.Paused, Paused: not PauseCause.None } => null,
            { Status: RunStatus.Waiting, Waiting: WaitReason.Signal or WaitReason.Child or WaitReason.Approval } => null,
            _ => "nobody owns it, nothing is due, and nothing is awaited",
        };
        return lacks is null ? null : ("I4", $"run {run} is {record.Status} {record.Waiting} {record.Paused}: {lacks}");
    }

    private static string NumberOf(FindingCode code) => code switch
    {
        FindingCode.CompletedTwice or FindingCode.ExecutedAgain => "I2",
        FindingCode.EpochFell or FindingCode.EpochUnclaimed or FindingCode.EpochReused => "I1",
        FindingCode.InputConsumedTwice or FindingCode.AnsweredTwice => "I9",
        FindingCode.AfterEnd => "I12",
        _ => "I6",
    };
}
