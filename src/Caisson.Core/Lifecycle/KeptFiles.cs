using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// What stays of a run's files when it ends, as its manifest says. The blobs of the smaller tree are stored first, then
/// its root is journaled in the write of the end: who dies in between leaves blobs that nobody refers to, and the next
/// owner makes the same tree again. Where it cannot be made the run ends all the same, and everything is kept.
/// </summary>
/// <param name="Entry"><c>null</c> where all is kept.</param>
/// <param name="Problem">Why all is kept although less was asked for.</param>
internal sealed record KeptFiles(EntryBody.WorkspaceKept? Entry = null, Failure? Problem = null)
{
    internal static async Task<KeptFiles> OfAsync(WorkspaceSettings wish, string? root, IWorkspaceStore? workspaces, CancellationToken cancellationToken)
    {
        if (root is null || wish.Keep is null or WorkspaceKeep.All)
            return new();
        if (wish.Keep == WorkspaceKeep.None)
            return new(new EntryBody.WorkspaceKept(WorkspaceKeep.None, null));
        if (workspaces is null)
            return new(null, new Failure(ErrorCodes.SandboxUnavailable, "this server has no store of workspaces"));
        return await workspaces.PruneAsync(new WorkspaceRoot(root), wish.Artifacts, cancellationToken) switch
        {
            PruneOutcome.Pruned pruned => new(new EntryBody.WorkspaceKept(WorkspaceKeep.Artifacts, pruned.Root?.Hash)),
            PruneOutcome.Failed failed => new(null, failed.Failure),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    internal RunSummary Show(RunSummary summary)
    {
        if (Entry is { } kept)
            return summary with { WorkspaceRoot = kept.Root, Kept = kept.Keep };
        if (Problem is null)
            return summary;
        var told = $"all files are kept, because the artifacts could not be set apart: {Problem.Message}";
        return summary with { Detail = summary.Detail is { } detail ? $"{detail}; {told}" : told };
    }
}
