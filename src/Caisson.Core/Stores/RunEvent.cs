using Caisson.Contracts;

namespace Caisson.Core.Stores;

/// <summary>
/// Something that happened in a run beside its journal, counted with those like it: decisions about egress. Replay never
/// reads it.
/// </summary>
/// <param name="Kind"><c>egress</c>.</param>
/// <param name="Code"><c>allowed</c>, <c>effect_unrecorded</c>, <c>moved</c> for bytes, or the error code of a denial.</param>
/// <param name="Subject">What it was about: <c>GET api.example.com:443</c>.</param>
/// <param name="Detail">Of the last one: its path, or the reason of a denial.</param>
public sealed record RunEvent(string Kind, string Code, string Subject, long Count, long Sent, long Received, DateTimeOffset FirstAt, DateTimeOffset LastAt, string? Detail)
{
    public const string Egress = "egress";
    public const string Moved = "moved";

    /// <summary>Different ones of a run; what comes after them is counted under <see cref="Others"/>.</summary>
    public const int MostOfRun = 200;

    public const string Others = "(others)";

    internal RunEvent Plus(RunEvent more) => this with
    {
        Count = Count + more.Count,
        Sent = Sent + more.Sent,
        Received = Received + more.Received,
        FirstAt = FirstAt < more.FirstAt ? FirstAt : more.FirstAt,
        LastAt = more.LastAt,
        Detail = more.Detail ?? Detail,
    };

    private bool IsLike(RunEvent other) => Kind == other.Kind && Code == other.Code && Subject == other.Subject;

    /// <summary>The events with one more among them.</summary>
    internal static IReadOnlyList<RunEvent> Add(IReadOnlyList<RunEvent> events, RunEvent more)
    {
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < events.Count; i++)
            {
                if (events[i].IsLike(more))
                    return [.. events.Take(i), events[i].Plus(more), .. events.Skip(i + 1)];
            }

            if (events.Count < MostOfRun || more.Subject == Others)
                break;
            more = more with { Subject = Others };
        }

        return [.. events, more];
    }
}

/// <summary>Reads what is written with <see cref="ChangeSet.Events"/>.</summary>
public interface IEventStore
{
    /// <summary>In the order in which each first happened.</summary>
    Task<IReadOnlyList<RunEvent>> ReadEventsAsync(RunId run, CancellationToken cancellationToken);
}
