using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Mcp;

/// <summary>What the journal says about the state that a server holds in memory. Pure.</summary>
internal static class McpState
{
    public static string StepName(string server, string tool) => $"{server}/{tool}";

    /// <summary>
    /// Whether calls have made a state that nobody was told the loss of. Where the process that held it is gone, the next
    /// call is told, once; the one after it begins a new state.
    /// </summary>
    public static bool IsHeld(McpServerSettings server, IEnumerable<StepRecord> recorded)
    {
        if (server.Stateless)
            return false;
        var held = false;
        var prefix = StepName(server.Name, "");
        foreach (var record in recorded)
        {
            if (record.Subject.Kind != StepKind.Tool || !record.Subject.Name.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            held = record.Failure?.Code switch
            {
                ErrorCodes.McpLost => false,
                ErrorCodes.McpDrift or ErrorCodes.McpUnavailable or ErrorCodes.ApprovalDenied => held,
                _ => held || server.Of(record.Subject.Name[prefix.Length..]).Effect != McpEffect.Read,
            };
        }

        return held;
    }
}
