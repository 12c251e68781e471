using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Core.Tests.Operations;

namespace Caisson.Core.Tests.Verification;

public sealed class RunVerificationTests
{
    private readonly OperationsRig _rig = new();

    [Fact]
    public async Task Blobs_and_workspaces_that_are_there_are_no_findings()
    {
        var (run, _, _) = await PutAsync();

        var report = (await _rig.Operations.VerifyAsync(run, default))!;

        Assert.Empty(report.Findings);
        Assert.Equal((6L, false), (report.Entries, report.Truncated));
    }

    [Fact]
    public async Task A_result_that_is_gone_is_found_where_it_is_named()
    {
        var (run, result, _) = await PutAsync();
        _rig.Blobs.Remove(result);

        var finding = Assert.Single((await _rig.Operations.VerifyAsync(run, default))!.Findings);
        Assert.Equal((3L, "blob_missing"), (finding.Seq, finding.Code));
    }

    [Fact]
    public async Task A_workspace_that_is_gone_is_found_once()
    {
        var (run, _, root) = await PutAsync();
        _rig.Blobs.Remove(root);

        var finding = Assert.Single((await _rig.Operations.VerifyAsync(run, default))!.Findings);
        Assert.Equal((4L, "blob_missing"), (finding.Seq, finding.Code));
    }

    /// <summary>Swept is what a run let go; what it kept is missed.</summary>
    [Fact]
    public async Task Of_a_run_that_kept_its_artifacts_only_their_tree_must_be_there()
    {
        var kept = (await _rig.Blobs.PutAsync(["kept"u8.ToArray()], default))[0];
        var journal = TestJournal.Begin().Completed("a", workspace: "swept").Add(new EntryBody.WorkspaceKept(WorkspaceKeep.Artifacts, kept)).Ended(RunStatus.Completed);
        var run = await _rig.PutAsync(journal, RunStatus.Completed, PauseCause.None, new RunSummary { Steps = 1, WorkspaceRoot = kept, Kept = WorkspaceKeep.Artifacts });
        Assert.Empty((await _rig.Operations.VerifyAsync(run, default))!.Findings);

        _rig.Blobs.Remove(kept);

        var finding = Assert.Single((await _rig.Operations.VerifyAsync(run, default))!.Findings);
        Assert.Equal((4L, "blob_missing"), (finding.Seq, finding.Code));
    }

    [Fact]
    public async Task A_body_that_stands_in_a_blob_is_read_from_there()
    {
        var body = EntryBodies.Write(new EntryBody.SignalConsumed("i1", "go", new string('x', 9000), "me"));
        var address = (await _rig.Blobs.PutAsync([body], default))[0];
        var run = await _rig.PutAsync(TestJournal.Begin().Add(new EntryBody.SignalConsumed("i1", "go", "1", "me")), RunStatus.Waiting, change: r => r with
        {
            More = [new JournalDraft(EntryKind.SignalConsumed, default, Blob: address)],
        });

        // The same input twice: seen only by who reads the blob.
        var finding = Assert.Single((await _rig.Operations.VerifyAsync(run, default))!.Findings);
        Assert.Equal("input_consumed_twice", finding.Code);
        _rig.Blobs.Remove(address);
        Assert.Equal("blob_missing", Assert.Single((await _rig.Operations.VerifyAsync(run, default))!.Findings).Code);
    }

    [Fact]
    public async Task A_journal_longer_than_a_page_is_read_to_its_end()
    {
        var journal = TestJournal.Begin();
        for (var i = 0; i < 450; i++)
            journal.Completed($"k{i}");
        var run = await _rig.PutAsync(journal, RunStatus.Paused, PauseCause.Operator, new RunSummary { Steps = 449 });

        var report = (await _rig.Operations.VerifyAsync(run, default))!;

        Assert.Equal(452, report.Entries);
        Assert.Contains(report.Findings, f => f.Code == "projection_differs" && f.Text.StartsWith("steps: the run's row has 449, its journal 450", StringComparison.Ordinal));
    }

    private async Task<(RunId Run, string Result, string Root)> PutAsync()
    {
        var result = (await _rig.Blobs.PutAsync(["large"u8.ToArray()], default))[0];
        var root = (await _rig.Blobs.PutAsync(["tree"u8.ToArray()], default))[0];
        var journal = TestJournal.Begin().Completed("a", blob: result).Completed("b", workspace: root).Completed("c", workspace: root).Paused(PauseCause.Operator);
        return (await _rig.PutAsync(journal, RunStatus.Paused, PauseCause.Operator, new RunSummary { Steps = 3, WorkspaceRoot = root }), result, root);
    }
}
