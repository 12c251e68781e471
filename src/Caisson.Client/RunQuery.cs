using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>What <see cref="CaissonClient.ListRunsAsync"/> asks for.</summary>
/// <param name="Statuses">Empty for all.</param>
/// <param name="Cursor"><see cref="RunPage.Next"/> of the page before.</param>
public sealed record RunQuery(IReadOnlyList<RunStatus> Statuses, string? Agent = null, string? Cursor = null, int? Limit = null);

/// <summary>How a journal is followed.</summary>
public sealed record FollowOptions
{
    /// <summary>Entries after this one. Default 0, the whole journal.</summary>
    public long After { get; init; }

    /// <summary>Whether the results of steps come along. Default no.</summary>
    public bool Payloads { get; init; }

    /// <summary>How long a server that went away is waited for before the follower gives up. Default 30 s; zero gives up at once.</summary>
    public TimeSpan Patience { get; init; } = CaissonClient.DefaultPatience;

    /// <summary>Called once when the server goes away, with the reason.</summary>
    public Action<string>? Lost { get; init; }

    /// <summary>Called once when it is back.</summary>
    public Action? Back { get; init; }
}
