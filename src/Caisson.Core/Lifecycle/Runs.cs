using System.Globalization;
using System.Runtime.CompilerServices;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Manifests;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Everything that people and programs may ask of runs. Thin shells (HTTP, CLI) call it and map the outcomes.</summary>
public sealed class Runs(
    IRunStore store,
    IRunReader reader,
    IBlobStore blobs,
    IModels models,
    NewRuns newRuns,
    IWorkspaceStore workspaces,
    RunSignals signals,
    TimeProvider clock,
    IIdSource ids)
{
    private const int PageSize = 500;

    public async Task<CreateRunOutcome> CreateAsync(CreateRun command, CancellationToken cancellationToken)
    {
        return await newRuns.CheckAsync(command, cancellationToken) switch
        {
            CheckedRun.Refused refused => new CreateRunOutcome.Refused(refused.Failure),
            CheckedRun.Valid valid => await CreateAsync(await newRuns.BuildAsync(valid, cancellationToken), cancellationToken),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    /// <summary>Puts a run that <see cref="NewRuns"/> prepared into the store.</summary>
    public async Task<CreateRunOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken)
    {
        if (newRuns.Stopped(run.Tenant, run.Agent) is { } stopped)
            return new CreateRunOutcome.Refused(stopped);
        switch (await store.CreateAsync(run, cancellationToken))
        {
            case CreateOutcome.Created:
                signals.Due(run.Id);
                return new CreateRunOutcome.Accepted(run.Id, Existing: false);
            case CreateOutcome.Existing existing:
                return new CreateRunOutcome.Accepted(existing.Run, Existing: true);
            case CreateOutcome.KeyMismatch mismatch:
                return new CreateRunOutcome.Refused(new Failure(ErrorCodes.IdempotencyMismatch, $"the idempotency key belongs to run {mismatch.Run}, which had another manifest, input, limits or labels: use a new key"));
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    public async Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) =>
        await reader.FindAsync(run, cancellationToken) is { } record ? Live(record) : null;

    /// <summary>A run by its id or by a prefix that only one run has.</summary>
    public async Task<ResolveOutcome> ResolveAsync(string idOrPrefix, CancellationToken cancellationToken)
    {
        if (RunId.TryParse(idOrPrefix, out var id))
            return await reader.FindAsync(id, cancellationToken) is null ? new ResolveOutcome.NotFound() : new ResolveOutcome.Found(id);
        if (idOrPrefix.Length is < 4 or > 36 || !idOrPrefix.All(c => char.IsAsciiHexDigitLower(c) || c == '-'))
            return new ResolveOutcome.NotFound();
        var found = await reader.FindByPrefixAsync(idOrPrefix, 2, cancellationToken);
        return found.Count switch
        {
            0 => new ResolveOutcome.NotFound(),
            1 => new ResolveOutcome.Found(found[0]),
            _ => new ResolveOutcome.Ambiguous(),
        };
    }

    public async Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) =>
        [.. (await reader.ListAsync(filter, cancellationToken)).Select(Live)];

    private RunRecord Live(RunRecord record) =>
        signals.CurrentStep(record.Id) is { } step ? record with { Summary = record.Summary with { CurrentStep = step } } : record;

    /// <summary>A page of the journal, results included.</summary>
    public async Task<IReadOnlyList<JournalEntry>> JournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) =>
        await JournalWriter.ResolveAsync(blobs, await reader.ReadJournalAsync(run, afterSeq, Math.Clamp(limit, 1, PageSize), cancellationToken), cancellationToken);

    /// <summary>The journal from a place on, as it grows, until the run's end. No gap, no duplicate.</summary>
    public async IAsyncEnumerable<JournalEntry> FollowAsync(RunId run, long afterSeq, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            var changed = signals.WhenChanged(run);
            var page = await JournalAsync(run, afterSeq, PageSize, cancellationToken);
            foreach (var entry in page)
            {
                yield return entry;
                if (entry.Kind == EntryKind.RunEnded)
                    yield break;
                afterSeq = entry.Seq;
            }

            if (page.Count == 0)
            {
                // A reader may come back with the number of the last entry, after which there is nothing to wait for.
                if (await reader.FindAsync(run, cancellationToken) is not { } record || (record.Status.IsFinal() && record.LastSeq <= afterSeq))
                    yield break;

                // The signal is a hint that may be lost (another process may own the run): a slow poll stands behind it.
                await Task.WhenAny(changed, Task.Delay(TimeSpan.FromSeconds(1), clock, cancellationToken));
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    public Task<InputOutcome> CancelAsync(RunId run, string by, string? reason, CancellationToken cancellationToken) =>
        PostAsync(run, InputKind.Cancel, new InputBody.Operator(by, reason, null), cancellationToken);

    /// <summary>
    /// Pauses every live run of a database that was put back to an earlier state: what they did since then is not in
    /// their journals. Before anything is claimed; may be done again after a crash in the middle.
    /// </summary>
    public async Task PauseRestoredAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<RunStatus> live = [RunStatus.Ready, RunStatus.Running, RunStatus.Waiting];
        RunId? before = null;
        while (await reader.ListAsync(new RunFilter(live, null, before, PageSize), cancellationToken) is { Count: > 0 } page)
        {
            foreach (var run in page)
                await PostAsync(run.Id, InputKind.Pause, new InputBody.Operator(Halts.RestoreName, $"the database was put back to an earlier state: effects after entry {run.LastSeq} may have happened; look, then retry or cancel", null), cancellationToken);
            before = page[^1].Id;
        }
    }

    public Task<InputOutcome> PauseAsync(RunId run, string by, string? reason, CancellationToken cancellationToken) =>
        PostAsync(run, InputKind.Pause, new InputBody.Operator(by, reason, null), cancellationToken);

    /// <summary>Resumes a paused run, with raised limits where given; refuses where it would pause again at once.</summary>
    public async Task<InputOutcome> ResumeAsync(RunId run, string by, RunOverrides raise, CancellationToken cancellationToken)
    {
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new InputOutcome.NotFound();
        var parsed = LimitOverrides.Parse(raise);
        if (parsed.Failure is { } bad)
            return new InputOutcome.Refused(bad);
        if (record.Status.IsFinal())
            return Ended(run, record.Status);
        if (record.Status != RunStatus.Paused && parsed.Limits == new RaisedLimits() && !await IsPendingAsync(run, InputKind.Pause, cancellationToken))
            return new InputOutcome.Refused(new Failure(ErrorCodes.RunConflict, $"run {run} is {Words.Of(record.Status)}, not paused: nothing to resume"));
        if (newRuns.Stopped(record.Tenant, record.Agent) is { } stopped)
            return new InputOutcome.Refused(stopped);
        if (record is { Status: RunStatus.Paused, Paused: PauseCause.Budget } && LimitOverrides.StillReached(record, parsed.Limits, clock.GetUtcNow()) is { } still
            && !await IsPendingAsync(run, InputKind.Raise, cancellationToken))
            return new InputOutcome.Refused(still);
        if (parsed.Limits.NanoUsd is not null && await PricedAsync(run, cancellationToken) is { } unpriced)
            return new InputOutcome.Refused(unpriced);
        return await PostAsync(run, InputKind.Resume, new InputBody.Operator(by, null, parsed.Limits), cancellationToken);
    }

    /// <summary>A pause that waits for the step under way can be taken back, and a limit that is just being raised may be high enough.</summary>
    private async Task<bool> IsPendingAsync(RunId run, InputKind kind, CancellationToken cancellationToken) =>
        (await reader.ReadInboxAsync(run, 100, cancellationToken)).Any(input => input.Kind == kind);

    /// <summary>A cap on money needs a price for the model; without one the run could only fail.</summary>
    private async Task<Failure?> PricedAsync(RunId run, CancellationToken cancellationToken) =>
        await JournalAsync(run, 0, 1, cancellationToken) is [var created] && JournalJson.Read<EntryBody.RunCreated>(created.Body).Manifest.Loop is { } loop
            ? models.Check(loop.Model, moneyIsCapped: true)
            : null;

    /// <summary>A file of the run's workspace as of its last completed step.</summary>
    public async Task<ReadOnlyMemory<byte>?> ReadFileAsync(RunId run, string path, CancellationToken cancellationToken) =>
        (await reader.FindAsync(run, cancellationToken))?.Summary.WorkspaceRoot is { } root
            ? await workspaces.ReadFileAsync(new WorkspaceRoot(root), path, cancellationToken)
            : null;

    public async Task<IReadOnlyList<FileEntry>> ListFilesAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        (await reader.FindAsync(run, cancellationToken))?.Summary.WorkspaceRoot is { } root
            ? await workspaces.ListAsync(new WorkspaceRoot(root), limit, cancellationToken)
            : [];

    /// <summary>Resumes the runs that a lifted order of the kill switch has paused and that no other order stops.</summary>
    /// <returns>How many.</returns>
    public async Task<int> ResumeKilledAsync(KillScope scope, string? name, string by, CancellationToken cancellationToken)
    {
        var resumed = 0;
        RunId? before = null;
        while (await reader.ListAsync(new RunFilter([RunStatus.Paused], scope == KillScope.Agent ? name : null, before, PageSize), cancellationToken) is { Count: > 0 } page)
        {
            foreach (var run in page.Where(run => run.Paused == PauseCause.Operator && run.Summary.Detail?.StartsWith(Halts.KillName, StringComparison.Ordinal) == true
                && (scope != KillScope.Tenant || run.Tenant == name) && newRuns.Stopped(run.Tenant, run.Agent) is null))
            {
                if (await PostAsync(run.Id, InputKind.Resume, new InputBody.Operator(by, null, null), cancellationToken) is InputOutcome.Accepted)
                    resumed++;
            }

            before = page[^1].Id;
        }

        return resumed;
    }

    private async Task<InputOutcome> PostAsync(RunId run, InputKind kind, InputBody.Operator body, CancellationToken cancellationToken)
    {
        var outcome = await store.PostAsync(new NewInput(run, ids.NextRandom().ToString("N", CultureInfo.InvariantCulture), kind, JournalJson.Write(body)), cancellationToken);
        if (outcome is PostOutcome.Posted)
            signals.Due(run);
        return outcome switch
        {
            PostOutcome.NotFound => new InputOutcome.NotFound(),
            PostOutcome.Ended ended => Ended(run, ended.Status),
            _ => new InputOutcome.Accepted(),
        };
    }

    private static InputOutcome.Refused Ended(RunId run, RunStatus status) =>
        new(new Failure(ErrorCodes.RunEnded, $"run {run} is {Words.Of(status)}: an ended run takes no more input"));
}

/// <summary>What somebody wants run: a person, a schedule, a parent.</summary>
/// <param name="Manifest">YAML; empty for the agent in <see cref="Code"/> with default settings.</param>
/// <param name="ManifestFile">For messages: where the manifest comes from.</param>
public sealed record CreateRun(
    string Manifest,
    string ManifestFile,
    string Input,
    RunOverrides Limits,
    IReadOnlyDictionary<string, string> Labels,
    string? IdempotencyKey)
{
    public RunId? Id { get; init; }

    /// <summary>Root of a saved workspace that it begins with.</summary>
    public string? Workspace { get; init; }
    public string? Code { get; init; }

    /// <summary>Of a run that starts its own like: the manifest, in the place of its text.</summary>
    internal AgentManifest? Own { get; init; }
    public string Tenant { get; init; } = BudgetNodes.DefaultTenant;
    public RunId? Parent { get; init; }

    /// <summary>Generations above it.</summary>
    public int Depth { get; init; }

    /// <summary>Likeness of each run above it, from the root.</summary>
    public IReadOnlyList<string> Ancestry { get; init; } = [];
}

public abstract record CreateRunOutcome
{
    /// <param name="Existing">The idempotency key was seen before with the same request.</param>
    public sealed record Accepted(RunId Run, bool Existing) : CreateRunOutcome;

    public sealed record Refused(Failure Failure) : CreateRunOutcome;
}

public abstract record InputOutcome
{
    /// <summary>Durable; the run's owner acts on it next.</summary>
    public sealed record Accepted : InputOutcome;

    public sealed record NotFound : InputOutcome;

    public sealed record Refused(Failure Failure) : InputOutcome;
}

public abstract record ResolveOutcome
{
    public sealed record Found(RunId Run) : ResolveOutcome;

    public sealed record NotFound : ResolveOutcome;

    public sealed record Ambiguous : ResolveOutcome;
}
