namespace Caisson.Core.Egress;

/// <summary>
/// Where a box's wall reports to: the run that owns the box. Nothing here waits for the wall, and no value of a secret
/// ever comes through it.
/// </summary>
public interface IEgressLog
{
    /// <summary>Whether bytes may leave right now: the lease surely holds and nobody has stopped the run.</summary>
    bool MaySend { get; }

    /// <summary>Takes a decision down; it is counted with those like it.</summary>
    void Decided(EgressDecision decision);

    /// <summary>Bytes that passed since the last word about this target.</summary>
    void Moved(string host, int port, long sent, long received);

    /// <summary>
    /// Makes durable, bound to the step under way, that something is about to happen outside. Answers <c>false</c> where
    /// this is not the run's owner any more or no step is under way: then nothing may be sent.
    /// </summary>
    ValueTask<bool> IntentAsync(EgressIntent intent, CancellationToken cancellationToken);
}

/// <param name="Code"><see cref="Allowed"/>, <see cref="Unrecorded"/>, or the error code of a denial.</param>
/// <param name="Verb">The method; <c>CONNECT</c> for a tunnel, <c>TCP</c> for a service.</param>
/// <param name="Host">As the box named it, in normal form where it has one, cut to a bound.</param>
/// <param name="Path">Without the query; <c>null</c> where nobody saw one.</param>
/// <param name="Reason">Of a denial: what the box was told.</param>
public sealed record EgressDecision(string Code, string Verb, string Host, int Port, string? Path, string? Secret, string? Reason)
{
    public const string Allowed = "allowed";

    /// <summary>Allowed, and nobody sees what happens in it.</summary>
    public const string Unrecorded = "effect_unrecorded";

    public bool IsDenial => Code is not (Allowed or Unrecorded);
}

/// <summary>Something that may change the world outside: it must not be repeated unseen.</summary>
/// <param name="Path">Without the query.</param>
/// <param name="Secret">The secret's name, where one is used.</param>
public sealed record EgressIntent(EgressKind Kind, string Host, int Port, string? Method = null, string? Path = null, string? Secret = null);

public enum EgressKind
{
    /// <summary>A request whose method is not safe, or that uses a secret.</summary>
    Request = 1,
    /// <summary>An opaque connection.</summary>
    Tunnel = 2,
    /// <summary>A connection to a granted service.</summary>
    Service = 3,
}
