using Caisson.Contracts;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;

namespace Caisson.Gateway.Providers;

/// <summary>What one attempt to reach a provider came to.</summary>
internal abstract record UpstreamReply
{
    /// <param name="Usage"><c>null</c>: the provider gave no usable figures.</param>
    public sealed record Answered(ModelAnswer Answer, TokenUsage? Usage) : Done;

    /// <summary>A whole answer, handed through as it came.</summary>
    public sealed record Relayed : Done;

    /// <summary>It is paid for, and recorded.</summary>
    public abstract record Done : UpstreamReply;

    /// <param name="MaybeBilled">The request left whole and no refusal came back: the provider may have worked for money.</param>
    public sealed record Failed(Failure Failure, RetryClass Retry, bool MaybeBilled = false, TimeSpan? RetryAfter = null) : UpstreamReply;

    /// <summary>The node lost the right to send while the connection was made. Nothing left.</summary>
    public sealed record Withheld : UpstreamReply;
}

internal enum RetryClass
{
    /// <summary>Trying again cannot mend it.</summary>
    Never,
    /// <summary>Uses up attempts and time.</summary>
    Counted,
    /// <summary>The provider is busy: uses up time only.</summary>
    Throttled,
}
