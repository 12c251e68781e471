using Caisson.Contracts;
using Caisson.Core.Manifests;

namespace Caisson.Core.Processes;

/// <summary>
/// What a program may have its children be. The program is hostile, and writes their manifests itself: so a child reaches
/// nothing that its parent does not, and its box is neither weaker nor larger. Money and counts are bounded by the tree's
/// budgets. Whatever a manifest can ask for and is not named here has to be as the parent's. Pure.
/// </summary>
internal static class ChildRights
{
    /// <summary>What is too much; <c>null</c> where nothing is.</summary>
    internal static string? Exceeds(AgentManifest parent, AgentManifest child)
    {
        var (mine, theirs) = (parent.Sandbox, child.Sandbox);
        if (child.Code is not null)
            return "is an agent in code: those a program may not start";
        if (theirs.Isolation < mine.Isolation || theirs.Image != mine.Image)
            return "has a sandbox of weaker isolation or of another image than the program's own";
        if (theirs.Cpu > mine.Cpu || theirs.MemoryBytes > mine.MemoryBytes || theirs.Pids > mine.Pids || theirs.DiskBytes > mine.DiskBytes)
            return "has a sandbox that is larger than the program's own";
        var granted = parent with
        {
            Egress = child.Egress is null ? null : parent.Egress,
            EgressBytes = child.Egress is null ? child.EgressBytes : parent.EgressBytes,
            Services = child.Services is null ? null : parent.Services,
            Mcp = child.Mcp is null ? null : parent.Mcp,
        };
        var asked = child with
        {
            Name = parent.Name,
            Version = parent.Version,
            Loop = parent.Loop,
            Process = parent.Process,
            Sandbox = mine,
            Workspace = parent.Workspace,
            Limits = parent.Limits,
            LoopGuard = parent.LoopGuard,
            Retry = parent.Retry,
            OnDrift = parent.OnDrift,
        };
        return ManifestReader.HashOf(asked) == ManifestReader.HashOf(granted) ? null : "asks for more than the program has (egress, services, mcp): take it out, or have it exactly as in the program's manifest";
    }
}
