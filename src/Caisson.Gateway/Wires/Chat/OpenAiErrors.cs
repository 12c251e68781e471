using System.Text;

namespace Caisson.Gateway.Wires.Chat;

/// <summary>Errors in OpenAI's form. The statuses are those at which clients stop after one request.</summary>
internal static class OpenAiErrors
{
    public static WireReply Reply(WireError error, WireHead head)
    {
        var (status, type, code) = error.Problem switch
        {
            WireProblem.Invalid => (400, "invalid_request_error", "invalid_request"),
            WireProblem.Denied => (403, "permission_denied", "not_granted"),
            WireProblem.Limit => (402, "insufficient_quota", "budget_exceeded"),
            WireProblem.Unknown => (501, "invalid_request_error", "unknown_route"),
            WireProblem.NoModel => (404, "invalid_request_error", "model_not_found"),
            WireProblem.TooLarge => (413, "invalid_request_error", "request_too_large"),
            WireProblem.Upstream => (502, "server_error", "upstream_failed"),
            _ => throw new ArgumentOutOfRangeException(nameof(error), error.Problem, "not a problem"),
        };
        // Codex asks again five times at 402 and 403, and not at 400.
        if (status is 402 or 403 && head.UserAgent?.StartsWith("codex_", StringComparison.Ordinal) == true)
            status = 400;
        return new WireReply(status, Encoding.UTF8.GetBytes(
            $$$"""{"error":{"message":{{{Body.Quoted(error.Message)}}},"type":"{{{type}}}","param":null,"code":"{{{code}}}"}}"""));
    }
}
