using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Checks;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Workload;

namespace Caisson.Simulation.Tests.Stores;

/// <summary>One write that the store has done, between the state before and the state after it.</summary>
internal sealed record Commit(string Operation, RunId? Run, object? Request, object? Outcome, MemoryState Before, MemoryState After);

/// <summary>
/// The one store that all processes share, and the wire to it. A call may be done at once or on a detour: sent, done
/// later, answered later still; its process may die or freeze at either place. What was sent and not done when its
/// process died is done or lost, as it happens; what was done is never taken back, since it was on disk.
/// </summary>
internal sealed class StoreHub(SimProcess outside, Weather weather, SimRandom random, MemoryStore store, Checker checker, Breakage breakage, World world)
{
    private TaskCompletionSource? _stall;

    internal MemoryStore Store => store;

    internal SimLoop Loop => outside.Loop;

    internal bool IsStalled => _stall is not null;

    internal BrokenStore Broken { get; } = new(breakage, store);

    internal async Task StallAsync(TimeSpan time)
    {
        _stall ??= new TaskCompletionSource();
        await outside.DelayAsync(time);
        var stall = _stall;
        _stall = null;
        stall?.SetResult();
    }

    internal Task<T> WriteAsync<T>(SimProcess caller, string operation, RunId? run, object? request, Func<Task<T>> call)
    {
        if (!IsStalled && !OnDetour())
            return Task.FromResult(Commit(caller, operation, run, request, call));
        var answer = new TaskCompletionSource<T>();
        _ = outside.Run(() => TravelAsync(caller, answer, () => Commit(caller, operation, run, request, call), writes: true));
        return answer.Task;
    }

    internal Task<T> ReadAsync<T>(SimProcess caller, Func<Task<T>> call, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!IsStalled && !OnDetour())
            return call();
        var answer = new TaskCompletionSource<T>();
        _ = outside.Run(() => TravelAsync(caller, answer, () => Result(call()), writes: false));
        return answer.Task;
    }

    internal RenewOutcome Renew(SimProcess caller, NodeId node)
    {
        if (IsStalled)
            throw new CaissonException(ErrorCodes.StorageFailed, "the store does not answer", isTransient: true);
        return Commit(caller, "renew", null, node, () => Task.FromResult(store.Renew(node)));
    }

    private bool OnDetour() => random.Chance(weather.Calm ? 20 : weather.Detours);

    private async Task TravelAsync<T>(SimProcess caller, TaskCompletionSource<T> answer, Func<T> call, bool writes)
    {
        await WayAsync();
        if (caller.Dead && random.Chance(500))
            return;
        var outcome = call();
        if (writes && !weather.Calm && random.Chance(weather.LostAcks))
        {
            // An adapter that may ask again does, and the store must know the unit; another tells that it does not know.
            if (random.Chance(500))
            {
                answer.TrySetException(new CaissonException(ErrorCodes.StorageFailed, "the answer was lost"));
                return;
            }

            outcome = call();
        }

        await WayAsync();
        answer.TrySetResult(outcome);
    }

    private async Task WayAsync()
    {
        while (_stall is { } stall)
            await stall.Task;
        if (!weather.Calm && random.Chance(weather.SlowCommits))
            await outside.DelayAsync(random.Time(1, random.Chance(100) ? 8_000 : 400));
    }

    private T Commit<T>(SimProcess caller, string operation, RunId? run, object? request, Func<Task<T>> call)
    {
        var before = store.Snapshot();
        var outcome = Result(call());
        if (request is NodeRegistration node)
            world.Registered(caller, node.Id);
        Broken.After(operation, request, before);
        var after = store.Snapshot();
        if (operation != "renew")
            Loop.Tell($"{caller.Name}: {operation} {Words(run, request)}: {outcome}");
        Loop.Note(operation);
        Loop.Note((ulong)caller.Number);
        if (run is { } id)
            Loop.Note((ulong)(after.Find(id)?.Record.LastSeq ?? 0));
        checker.Check(new Commit(operation, run, request, outcome, before, after));
        return outcome;
    }

    private static string Words(RunId? run, object? request) => request switch
    {
        ChangeSet unit => $"{run} epoch {unit.Fence.Epoch} seq {unit.FirstSeq} [{string.Join(" ", unit.Entries.Select(e => e.Kind))}] {unit.State.Status} {unit.State.Waiting} due {unit.State.DueAt:HH:mm:ss.fff}{(unit.State.Release ? " release" : "")} consumes {string.Join(",", unit.ConsumedInputs)} at {unit.At:HH:mm:ss.fff}",
        NewInput input => $"{run} {input.Kind} {input.InputId}",
        _ => $"{run} {request}",
    };

#pragma warning disable VSTHRD002 // The memory store's answers are there when it returns.
    private static T Result<T>(Task<T> done) => done.IsCompleted ? done.GetAwaiter().GetResult() : throw new InvalidOperationException("the memory store answers at once");
#pragma warning restore VSTHRD002
}
