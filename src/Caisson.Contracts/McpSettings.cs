namespace Caisson.Contracts;

/// <summary>A server of tools that a process agent reaches through the gateway: a program in a box of its own, or an address.</summary>
/// <param name="Name">Names its route: <c>/mcp/NAME</c>.</param>
/// <param name="Command">Program and arguments, spoken to by its standard input and output; <c>null</c> for one at <see cref="Url"/>.</param>
public sealed record McpServerSettings(string Name, IReadOnlyList<string>? Command)
{
    /// <summary>More variables for the program.</summary>
    public IReadOnlyDictionary<string, string>? Environment { get; init; }

    /// <summary>Where it speaks streamable HTTP; <c>null</c> for a program.</summary>
    public string? Url { get; init; }

    /// <summary>The server's secret that requests to <see cref="Url"/> get outside of every box.</summary>
    public string? Secret { get; init; }

    /// <summary>It keeps nothing between two calls, so that another one may stand in for it. Default: no.</summary>
    public bool Stateless { get; init; }

    /// <summary>For one call. <c>null</c>: a minute.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Of the tools that <see cref="Tools"/> does not name.</summary>
    public McpToolSettings Default { get; init; } = new();

    /// <summary>What is said of single tools, by name. <c>null</c>: nothing.</summary>
    public IReadOnlyDictionary<string, McpToolSettings>? Tools { get; init; }

    /// <summary>What counts for a tool.</summary>
    public McpToolSettings Of(string tool) => Tools?.GetValueOrDefault(tool) ?? Default;
}

/// <summary>How calls of one tool are treated.</summary>
public sealed record McpToolSettings
{
    /// <summary>Default: a call must not happen twice.</summary>
    public McpEffect Effect { get; init; } = McpEffect.AtMostOnce;

    /// <summary>Default: nobody is asked.</summary>
    public McpApproval Approval { get; init; } = McpApproval.Never;

    /// <summary>What becomes of a call whose outcome nobody knows. Default: the program is told.</summary>
    public McpUnknown OnUnknown { get; init; } = McpUnknown.Report;
}

/// <summary>What calling a tool again would do.</summary>
public enum McpEffect
{
    /// <summary>It changes nothing, the server's own state included.</summary>
    Read = 1,
    /// <summary>Twice is once.</summary>
    Idempotent = 2,
    AtMostOnce = 3,
}

public enum McpApproval
{
    Never = 1,
    /// <summary>A person is asked before each call.</summary>
    Always = 2,
}

public enum McpUnknown
{
    Report = 1,
    /// <summary>The run pauses until a person resolves the call.</summary>
    AskHuman = 2,
    Fail = 3,
}
