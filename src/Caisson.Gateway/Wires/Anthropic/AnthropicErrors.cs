using System.Text;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Wires.Anthropic;

/// <summary>Errors in Anthropic's form.</summary>
internal static class AnthropicErrors
{
    public static WireReply Reply(WireError error)
    {
        var (status, type) = error.Problem switch
        {
            WireProblem.Invalid => (400, "invalid_request_error"),
            WireProblem.Denied => (403, "permission_error"),
            WireProblem.Limit => (402, "billing_error"),
            WireProblem.Unknown => (501, "invalid_request_error"),
            WireProblem.NoModel => (404, "not_found_error"),
            WireProblem.TooLarge => (413, "request_too_large"),
            WireProblem.Upstream => (502, "api_error"),
            _ => throw new ArgumentOutOfRangeException(nameof(error), error.Problem, "not a problem"),
        };
        // Clients print it and nobody looks it up: it says which error this was.
        var id = $"req_{StepHash.Of(type, error.Message)[..24]}";
        return new WireReply(status, Encoding.UTF8.GetBytes(
            $$$"""{"type":"error","error":{"type":"{{{type}}}","message":{{{Body.Quoted(error.Message)}}}},"request_id":"{{{id}}}"}"""));
    }
}
