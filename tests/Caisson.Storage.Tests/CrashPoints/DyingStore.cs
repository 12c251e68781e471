using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.CrashPoints;

/// <summary>How a process dies at one of its writes.</summary>
public enum Death
{
    /// <summary>The write never reached the store.</summary>
    Before = 1,
    /// <summary>The store has it, and nobody was told.</summary>
    AfterCommit = 2,
}

/// <summary>
/// One process's view of the store. At the given write the process dies: that call and all later ones fail, so the
/// engine stops, and whatever of it still runs reaches neither the store nor the world.
/// </summary>
internal sealed class DyingStore(MemoryStore store, int point, Death death) : IRunStore, IRunReader, INodeStore
{
    private readonly Lock _lock = new();
    private int _writes;
    private bool _dead;

    internal int Writes
    {
        get
        {
            lock (_lock)
                return _writes;
        }
    }

    internal bool Dead
    {
        get
        {
            lock (_lock)
                return _dead;
        }
    }

    /// <summary>What a step does to the world: nothing any more when its process is dead, and no answer either.</summary>
    internal Task ActAsync(Action effect)
    {
        lock (_lock)
        {
            if (_dead)
                return new TaskCompletionSource().Task;
            effect();
            return Task.CompletedTask;
        }
    }

    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) => throw new InvalidOperationException("the engine creates runs with an append");

    public Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) => Write(() => store.ClaimAsync(run, node, cancellationToken));

    public Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken) => Write(() => store.AppendAsync(unit, cancellationToken));

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => Write(() => store.PostAsync(input, cancellationToken));

    public Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) => Read(() => store.FindAsync(run, cancellationToken));

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) => Read(() => store.ListAsync(filter, cancellationToken));

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) => Read(() => store.FindByPrefixAsync(prefix, limit, cancellationToken));

    public Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken) => Read(() => store.FindByKeyAsync(key, cancellationToken));

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) => Read(() => store.ReadJournalAsync(run, afterSeq, limit, cancellationToken));

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) => Read(() => store.ReadInboxAsync(run, limit, cancellationToken));

    public Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken) => Read(() => store.FindClaimableAsync(node, limit, cancellationToken));

    public Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken) => Read(() => store.FindClaimableChildrenAsync(node, limit, cancellationToken));

    public Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) => Read(() => store.NextDueAsync(cancellationToken));

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) => Read(() => store.ListSuspectsAsync(limit, cancellationToken));

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) => Read(() => store.ListOwnedAsync(node, cancellationToken));

    public Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) => store.RegisterAsync(node, cancellationToken);

    public RenewOutcome Renew(NodeId node) => Dead ? RenewOutcome.Renewed : store.Renew(node);

    public Task RetireAsync(NodeId node, CancellationToken cancellationToken) => Dead ? Task.CompletedTask : store.RetireAsync(node, cancellationToken);

    // Under the lock, as the memory store's calls end at once: nothing of this process commits after its death.
    private Task<T> Write<T>(Func<Task<T>> write)
    {
        lock (_lock)
        {
            if (_dead)
                return Died<T>();
            var here = ++_writes == point;
            if (here && death == Death.Before)
            {
                _dead = true;
                return Died<T>();
            }

            var outcome = write();
            _dead = here;
            return here ? Died<T>() : outcome;
        }
    }

    private Task<T> Read<T>(Func<Task<T>> read)
    {
        lock (_lock)
            return _dead ? Died<T>() : read();
    }

    private static Task<T> Died<T>() => Task.FromException<T>(new CaissonException(ErrorCodes.StorageFailed, "this process is dead"));
}
