using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Verification;

/// <summary>Compares the run's row with what its journal says.</summary>
internal sealed class ProjectionCheck
{
    private readonly RunHistory _history = new();
    private RunStatus? _ended;
    private PauseCause _paused;
    private bool _readable = true;

    internal void Add(JournalEntry entry, EntryBody? body)
    {
        if (!_readable)
            return;
        if (body is null)
        {
            _readable = false;
            return;
        }

        switch (body)
        {
            case EntryBody.Paused paused:
                _paused = paused.Cause;
                break;
            case EntryBody.Resumed:
                _paused = PauseCause.None;
                break;
            case EntryBody.RunEnded ended:
                _ended = ended.Status;
                break;
        }

        try
        {
            // Figures need no results, and a journal may hold more of them than memory.
            _history.Add(entry with { Payload = null });
        }
        catch (CaissonException)
        {
            // What is wrong with it has been said by the checks that look for it; there is nothing to compare.
            _readable = false;
        }
    }

    internal void Compare(RunRecord row, long epoch, long seq, FindingList found)
    {
        if (!_readable)
            return;
        var summary = row.Summary;
        Same("status", Status(row), _ended is { } ended ? Words.Of(ended) : _paused != PauseCause.None ? $"paused ({Words.Of(_paused)})" : "live");
        Same("epoch", row.Epoch, epoch);
        Same("last entry", row.LastSeq, seq);
        Same("steps", summary.Steps, _history.Steps);
        Same("tool calls", summary.ToolCalls, _history.ToolCalls);
        Same("input tokens", summary.InputTokens, _history.InputTokens);
        Same("output tokens", summary.OutputTokens, _history.OutputTokens);
        Same("workspace root", summary.WorkspaceRoot ?? "none", _history.WorkspaceRoot ?? "none");
        Same("kept of the workspace", Words.Of(summary.Kept ?? WorkspaceKeep.All), Words.Of(_history.Kept ?? WorkspaceKeep.All));

        void Same<T>(string what, T stored, T journaled) where T : IEquatable<T>
        {
            if (!stored.Equals(journaled))
                found.Add(0, FindingCode.ProjectionDiffers, $"{what}: the run's row has {stored}, its journal {journaled}");
        }
    }

    private static string Status(RunRecord row) =>
        row.Status.IsFinal() ? Words.Of(row.Status) : row.Status == RunStatus.Paused ? $"paused ({Words.Of(row.Paused)})" : "live";
}
