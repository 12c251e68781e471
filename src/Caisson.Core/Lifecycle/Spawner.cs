using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Starts child runs: the child's row, its first entry and the parent's <c>ChildSpawned</c> are one change set, so there
/// is never a child that its parent does not know of. What is refused is recorded as well: a replay must get the same answer.
/// </summary>
internal sealed class Spawner(TimeProvider clock, NewRuns runs)
{
    internal async Task SpawnAsync(RunSession session, StepKey key, string scope, ChildSpec child)
    {
        var (run, refusal) = await PrepareAsync(session, key, child);
        if (run is not null && runs.Stopped(run.Tenant, run.Agent) is { } stopped)
            throw new RunHaltException(new RunHalt.Killed(stopped));
        if (refusal is not null)
        {
            var call = new StepCall(key, new StepSubject(StepKind.Named, $"spawn {child.Agent}", "", null, null), scope);
            await session.CompleteAsync(call, new StepResult(default, Usage.None, 1, clock.GetUtcNow(), refusal));
            return;
        }

        if (session.BeginChild() is { } denial)
            throw new RunHaltException(new RunHalt.AtLimit(denial));
        var spawned = false;
        try
        {
            await WriteAsync(session, key, scope, child, run!);
            spawned = true;
        }
        finally
        {
            session.EndChild(spawned);
        }
    }

    private static Task<AppendOutcome> WriteAsync(RunSession session, StepKey key, string scope, ChildSpec child, NewRun run) =>
        session.WriteAsync(new Unit
        {
            Entries = [new EntryDraft(EntryKind.ChildSpawned, new EntryBody.ChildSpawned(run.Id.ToString(), run.Agent, child.Detach)) { Scope = scope, Key = key.Hash }],
            Transition = RunSession.Proceed,
            Budget = session.CountOne(LimitDimension.Children),
            Children = [run],
            Update = s => s with { Children = s.Children + 1 },
        }, session.Owned);

    private async Task<(NewRun? Run, Failure? Refusal)> PrepareAsync(RunSession session, StepKey key, ChildSpec child)
    {
        var created = session.History.Created!;
        IReadOnlyList<string> ancestry = [.. created.Ancestry, Likeness(session.Manifest.Name, created.Input)];
        var wanted = new CreateRun(child.Manifest ?? "", $"child {child.Agent}", child.Input, child.Limits, created.Labels, null)
        {
            Id = Family.ChildId(session.Run, key),
            Code = child.Agent,
            Parent = session.Run,
            Depth = session.Claimed.Depth + 1,
            Tenant = session.Claimed.Tenant,
            Ancestry = ancestry,
            Own = child is { ByProgram: true, Manifest: null } && child.Agent == session.Manifest.Name ? session.Manifest : null,
        };
        return await runs.CheckAsync(wanted, session.Owned) switch
        {
            CheckedRun.Refused refused => (null, refused.Failure),
            CheckedRun.Valid valid when child.ByProgram && Processes.ChildRights.Exceeds(session.Manifest, valid.Manifest) is { } excess =>
                (null, new Failure(ErrorCodes.NotAllowed, $"the child '{valid.Manifest.Name}' {excess}")),
            CheckedRun.Valid valid when ancestry.Contains(Likeness(valid.Manifest.Name, child.Input), StringComparer.Ordinal) =>
                (null, new Failure(ErrorCodes.SpawnCycle, $"agent '{valid.Manifest.Name}' with this very input is already at work above this run: a cycle would never end")),
            CheckedRun.Valid valid => (await runs.BuildAsync(valid, session.Owned), null),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    private static string Likeness(string agent, string input) => StepHash.Of(agent, input)[..32];
}
