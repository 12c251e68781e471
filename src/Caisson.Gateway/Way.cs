using Caisson.Contracts;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway;

/// <summary>One way to an answer: the provider's model that was asked for, or one that stands in for it.</summary>
/// <param name="Send">Makes one attempt, with the bound of the output that is held. Of an answer it says what is recorded and what is billed.</param>
internal sealed record Way(ModelCallPipeline.Resolution.Found To, Func<int, int, CancellationToken, Task<(UpstreamReply Reply, PaidResult Paid)>> Send)
{
    /// <summary>Where another provider can stand in, a few attempts are enough to know that one is ill.</summary>
    private const int MostAttempts = 3;

    public string Name => $"{To.Provider.Name}/{To.Model}";

    /// <summary>What of a policy this one may use up.</summary>
    /// <param name="isLast">Nobody stands in for it.</param>
    public RetrySettings Share(RetrySettings whole, bool isLast) => isLast ? whole : whole with
    {
        Attempts = Math.Min(whole.Attempts, MostAttempts),
        Elapsed = whole.Elapsed < To.Provider.FallbackAfter ? whole.Elapsed : To.Provider.FallbackAfter,
    };
}
