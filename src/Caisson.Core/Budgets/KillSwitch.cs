using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Contracts;

namespace Caisson.Core.Budgets;

public enum KillScope
{
    Everything = 1,
    Tenant = 2,
    /// <summary>An agent's name, in every tenant.</summary>
    Agent = 3,
}

/// <param name="Name">Of the tenant or the agent; <c>null</c> for everything.</param>
public sealed record KillOrder(KillScope Scope, string? Name, string By, string? Reason, DateTimeOffset At)
{
    /// <summary>The command that lifts it.</summary>
    public string LiftedBy() => "caisson kill-switch off " + (Scope == KillScope.Everything ? "--all" : $"--{Words.Of(Scope)} {Name}");

    /// <summary>One line for people.</summary>
    public string Text() => $"{(Scope == KillScope.Everything ? "everything is" : $"{Words.Of(Scope)} '{Name}' is")} stopped by {By}{(Reason is null ? "" : ": " + Reason)}";
}

/// <summary>
/// What operators have stopped at once. While an order stands nothing of it is bought or sent, and what is claimed is
/// claimed only to be paused. A value:
/// whoever changes it puts the new one in place of the old, and readers see one or the other.
/// </summary>
public sealed class KillSwitch
{
    public const int MaxOrders = 1_000;
    public const int MaxName = 200;
    public const int MaxReason = 500;

    private const int Schema = 1;

    private readonly IReadOnlyDictionary<(KillScope, string), KillOrder> _orders;

    private KillSwitch(IReadOnlyDictionary<(KillScope, string), KillOrder> orders) => _orders = orders;

    /// <summary>Nothing is stopped.</summary>
    public static KillSwitch Off { get; } = new(new Dictionary<(KillScope, string), KillOrder>());

    public IReadOnlyList<KillOrder> Orders =>
        [.. _orders.Values.OrderBy(order => order.Scope).ThenBy(order => order.Name, StringComparer.Ordinal)];

    public bool IsOff => _orders.Count == 0;

    /// <summary>Whether this very order stands.</summary>
    public bool Has(KillScope scope, string? name) => _orders.ContainsKey((scope, name ?? ""));

    /// <summary>The widest order that stops runs of this agent in this tenant, or <c>null</c>.</summary>
    public KillOrder? Refuses(string tenant, string agent) => IsOff ? null :
        _orders.GetValueOrDefault((KillScope.Everything, ""))
        ?? _orders.GetValueOrDefault((KillScope.Tenant, tenant))
        ?? _orders.GetValueOrDefault((KillScope.Agent, agent));

    /// <summary>Stops more. The same scope and name again replaces the order.</summary>
    /// <returns>The problem, in one line, where the order is none.</returns>
    public (KillSwitch Switch, Failure? Failure) With(KillOrder order)
    {
        if (Problem(order) is { } problem)
            return (this, new Failure(ErrorCodes.RequestInvalid, problem));
        var orders = new Dictionary<(KillScope, string), KillOrder>(_orders) { [Key(order)] = order };
        return orders.Count > MaxOrders
            ? (this, new Failure(ErrorCodes.RequestInvalid, $"{MaxOrders} orders stand already: lift some, or stop everything"))
            : (new KillSwitch(orders), null);
    }

    /// <summary>Lifts one order; others go on to stop what they name.</summary>
    public KillSwitch Without(KillScope scope, string? name)
    {
        var orders = new Dictionary<(KillScope, string), KillOrder>(_orders);
        orders.Remove((scope, name ?? ""));
        return new KillSwitch(orders);
    }

    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(new Stored(Schema, Orders), KillSwitchJson.Default.Stored);

    /// <summary>
    /// Reads what <see cref="Write"/> wrote. What is not understood to the last field is refused: an order that was
    /// passed over would let run what somebody stopped.
    /// </summary>
    public static (KillSwitch? Switch, Failure? Failure) Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            if (JsonSerializer.Deserialize(json, KillSwitchJson.Default.Stored) is not { Schema: Schema, Orders: { } stored })
                return Unreadable($"found another schema than {Schema}");
            var read = Off;
            foreach (var order in stored)
            {
                var (next, failure) = read.With(order ?? throw new JsonException("an order is null"));
                if (failure is not null)
                    return Unreadable(failure.Message);
                read = next;
            }

            return (read, null);
        }
        catch (JsonException problem)
        {
            return Unreadable(problem.Message.ReplaceLineEndings(" "));
        }
    }

    private static (KillSwitch?, Failure?) Unreadable(string why) => (null, new Failure(ErrorCodes.ConfigInvalid, $"the kill switch cannot be read: {why}"));

    private static string? Problem(KillOrder order) => order switch
    {
        { Scope: not (KillScope.Everything or KillScope.Tenant or KillScope.Agent) } => "scope: allowed is everything, tenant or agent",
        { Scope: KillScope.Everything, Name: not null } => $"name: found '{Shown(order.Name)}', allowed is none where everything is stopped",
        { Scope: not KillScope.Everything, Name: null or "" } => $"name: found nothing, allowed is the {Words.Of(order.Scope)}'s name",
        { Name.Length: > MaxName } => $"name: found {order.Name.Length} characters, allowed are {MaxName}",
        { By: null or "" or { Length: > MaxName } } => $"by: allowed is a name of 1 to {MaxName} characters",
        { Reason.Length: > MaxReason } => $"reason: found {order.Reason.Length} characters, allowed are {MaxReason}",
        _ => null,
    };

    private static string Shown(string text) => (text.Length > 60 ? text[..60] + "…" : text).ReplaceLineEndings(" ");

    private static (KillScope, string) Key(KillOrder order) => (order.Scope, order.Name ?? "");

    internal sealed record Stored(int Schema, IReadOnlyList<KillOrder> Orders);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true, Converters = [typeof(WordConverter<KillScope>)])]
[JsonSerializable(typeof(KillSwitch.Stored))]
internal sealed partial class KillSwitchJson : JsonSerializerContext;
