using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.Budgets;

/// <summary>
/// This process's view of the kill switch.
/// <para>
/// Problem: an order must hold within seconds in every process, over restarts, and whatever else the store is busy
/// with. So it is one small value in the store; who changes it replaces it only if nobody else has meanwhile; every
/// process reads it before its first claim and then each second, and the one that changes it knows at once. Invariants:
/// an order counts nowhere before it is durable; nothing starts before the first look; a value that cannot be read
/// stops everything, because what it stops is unknown. If this process dies the next one reads what stands.
/// </para>
/// </summary>
public sealed class KillSwitches(IKillSwitchStore store, TimeProvider clock)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private View? _view;
    private long _lookedAt;

    private sealed record View(ReadOnlyMemory<byte> Stored, KillSwitch Switch, Failure? Unreadable);

    /// <summary>Called after a change was seen, on whatever thread saw it.</summary>
    internal Action? Changed { get; set; }

    public KillSwitch Current => _view?.Switch ?? KillSwitch.Off;

    /// <summary>Why nothing of this agent may start in this tenant, or <c>null</c>.</summary>
    public Failure? Stopped(string tenant, string agent) => Current.Refuses(tenant, agent) is { } order
        ? new Failure(ErrorCodes.KillSwitch, $"{order.Text()}: lift it with '{order.LiftedBy()}'", Retryable: true)
        : null;

    /// <summary>Reads what stands; more often than each second only where it is asked to.</summary>
    public async Task LookAsync(bool now, CancellationToken cancellationToken)
    {
        if (!now && _view is not null && clock.GetElapsedTime(Volatile.Read(ref _lookedAt)) < LookEvery)
            return;
        Volatile.Write(ref _lookedAt, clock.GetTimestamp());
        See(Read(await store.ReadKillSwitchAsync(cancellationToken)));
    }

    /// <summary>Stops more. Durable, and known here, when it returns.</summary>
    public Task<Failure?> OnAsync(KillOrder order, CancellationToken cancellationToken) =>
        ChangeAsync(current => current.With(order), cancellationToken);

    /// <summary>Lifts one order. <c>false</c> where none such stands.</summary>
    public async Task<(bool Lifted, Failure? Failure)> OffAsync(KillScope scope, string? name, CancellationToken cancellationToken)
    {
        var lifted = false;
        var failure = await ChangeAsync(current =>
        {
            lifted = current.Has(scope, name);
            return (current.Without(scope, name), null);
        }, cancellationToken);
        return (lifted && failure is null, failure);
    }

    private async Task<Failure?> ChangeAsync(Func<KillSwitch, (KillSwitch Switch, Failure? Failure)> change, CancellationToken cancellationToken)
    {
        while (true)
        {
            var view = Read(await store.ReadKillSwitchAsync(cancellationToken));
            if (view.Unreadable is { } unreadable)
                return unreadable;
            var (next, failure) = change(view.Switch);
            if (failure is not null || ReferenceEquals(next, view.Switch))
                return failure;
            var written = next.Write();
            if (!await store.ReplaceKillSwitchAsync(view.Stored, written, cancellationToken))
                continue;
            See(new View(written, next, null));
            return null;
        }
    }

    private View Read(ReadOnlyMemory<byte> stored)
    {
        if (stored.IsEmpty)
            return new View(stored, KillSwitch.Off, null);
        var (read, failure) = KillSwitch.Parse(stored.Span);
        return read is not null
            ? new View(stored, read, null)
            : new View(stored, KillSwitch.Off.With(new KillOrder(KillScope.Everything, null, "this server", Cut(failure!.Message), clock.GetUtcNow())).Switch, failure);
    }

    private void See(View seen)
    {
        lock (_lock)
        {
            if (_view is { } known && known.Stored.Span.SequenceEqual(seen.Stored.Span))
                return;
            _view = seen;
        }

        Changed?.Invoke();
    }

    private static string Cut(string text) => text.Length <= KillSwitch.MaxReason ? text : text[..KillSwitch.MaxReason];
}
