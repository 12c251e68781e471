using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Manifests;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

public sealed partial class RunOperations
{
    /// <summary>
    /// Starts another run that goes on from a place in this one. It draws on the same tenant and the same root, so that
    /// no spending escapes a cap by it. What it counts (steps, calls) begins with what it brings along.
    /// </summary>
    /// <param name="key">The same key with the same request answers the same fork.</param>
    public async Task<CreateRunOutcome> ForkAsync(RunId run, ForkSpec spec, string? key, CancellationToken cancellationToken)
    {
        if (spec.Input is { } input && Sizes.Utf8(input) > NewRuns.MaxInputBytes)
            return Refused(ErrorCodes.PayloadTooLarge, $"the input has {Sizes.Utf8(input)} bytes, at most {NewRuns.MaxInputBytes} are allowed");
        if (key is { Length: > MaxIdempotencyKey or 0 })
            return Refused(ErrorCodes.RequestInvalid, $"an idempotency key has 1 to {MaxIdempotencyKey} characters");
        if (await reader.FindAsync(run, cancellationToken) is not { } parent)
            return Refused(ErrorCodes.RunNotFound, $"there is no run '{run}'");
        if (kills?.Stopped(parent.Tenant, parent.Agent) is { } stopped)
            return new CreateRunOutcome.Refused(stopped);
        if (key is not null && await EarlierAsync(parent, spec, key, cancellationToken) is { } earlier)
            return new CreateRunOutcome.Accepted(earlier, Existing: true);

        var (prefix, large) = await PrefixAsync(parent, spec.At, cancellationToken);
        if (large is not null)
            return new CreateRunOutcome.Refused(large);
        if (await UnreadAsync(run, prefix, cancellationToken) is { } gone)
            return new CreateRunOutcome.Refused(gone);
        var id = new RunId(ids.NextRun());
        var made = ForkPlan.Make(parent, prefix, spec, id);
        if (made is ForkPlanOutcome.Refused { Failure: var refused })
            return new CreateRunOutcome.Refused(refused);
        var plan = ((ForkPlanOutcome.Planned)made).Plan;
        if (plan.Created.Manifest.Loop is { } loop && models.Check(loop.Model, plan.Created.Manifest.Limits.NanoUsd is not null) is { } unknown)
            return new CreateRunOutcome.Refused(unknown);
        if (await MissingAsync(run, plan, cancellationToken) is { } missing)
            return new CreateRunOutcome.Refused(missing);
        return await CreateAsync(id, parent, plan, spec, key, cancellationToken);
    }

    private async Task<CreateRunOutcome> CreateAsync(RunId id, RunRecord parent, ForkPlan plan, ForkSpec spec, string? key, CancellationToken cancellationToken)
    {
        var limits = plan.Created.Manifest.Limits;
        var created = await JournalWriter.DraftAsync(blobs, EntryKind.RunCreated, JournalJson.Write(plan.Created), cancellationToken) with { At = plan.CreatedAt };
        var run = new NewRun(id, parent.Agent, key, HashOf(parent.Id, spec, plan.Created.Input, plan.Created.Manifest), clock.GetUtcNow(), created, plan.Summary, limits.NanoUsd, limits.Tokens)
        {
            Tenant = parent.Tenant,
            Parent = parent.Parent,
            Depth = parent.Depth,
            Origin = parent.Id,
            MinEngine = Math.Max(parent.MinEngine, EngineVersion.Level),
            Caps = CountLimits.CapsOf(limits),
            More = [new JournalDraft(EntryKind.ForkedFrom, JournalJson.Write(plan.From)), .. plan.Copies],
        };
        switch (await store.CreateAsync(run, cancellationToken))
        {
            case CreateOutcome.Existing existing:
                return new CreateRunOutcome.Accepted(existing.Run, Existing: true);
            case CreateOutcome.KeyMismatch mismatch:
                return Refused(ErrorCodes.IdempotencyMismatch, $"the idempotency key belongs to run {mismatch.Run}, which was another request: use a new key");
            default:
                signals.Due(id);
                return new CreateRunOutcome.Accepted(id, Existing: false);
        }
    }

    /// <summary>
    /// What the same request has made before. Asked first: since then the origin may have let go of what it was made from,
    /// and the request would be refused. Another request with this key goes on and is told so by the store.
    /// </summary>
    private async Task<RunId?> EarlierAsync(RunRecord parent, ForkSpec spec, string key, CancellationToken cancellationToken)
    {
        if (await reader.FindByKeyAsync(key, cancellationToken) is not { } earlier)
            return null;
        await foreach (var first in _journal.ReadAsync(parent.Id, 1, cancellationToken))
        {
            if (first.Stored.Kind != EntryKind.RunCreated || first.Body.IsEmpty)
                return null;
            var created = JournalJson.Read<EntryBody.RunCreated>(first.Body);
            var (manifest, refused) = LimitOverrides.Apply(created.Manifest, spec.Limits, spec.Admin);
            return refused is null && HashOf(parent.Id, spec, spec.Input ?? created.Input, manifest) == earlier.RequestHash ? earlier.Run : null;
        }

        return null;
    }

    private static string HashOf(RunId parent, ForkSpec spec, string input, AgentManifest manifest) =>
        StepHash.Of("fork", parent.ToString(), spec.At?.ToString(CultureInfo.InvariantCulture) ?? "last", input, ManifestReader.HashOf(manifest), Words.Of(spec.Effects));

    private async Task<(IReadOnlyList<ReadEntry> Prefix, Failure? TooLarge)> PrefixAsync(RunRecord parent, long? at, CancellationToken cancellationToken)
    {
        var prefix = new List<ReadEntry>();
        var bytes = 0L;
        await foreach (var read in _journal.ReadAsync(parent.Id, Math.Min(at ?? parent.LastSeq, parent.LastSeq), cancellationToken))
        {
            prefix.Add(read);
            bytes += read.Bytes;
            if (ForkPlan.TooLarge(prefix.Count, bytes) is { } large)
                return ([], large);
        }

        return (prefix, null);
    }

    /// <summary>An entry whose body is a blob that cannot be had. Asked for again, a damaged one says where it lies.</summary>
    private async Task<Failure?> UnreadAsync(RunId run, IReadOnlyList<ReadEntry> prefix, CancellationToken cancellationToken)
    {
        foreach (var read in prefix)
        {
            if (read.Body.IsEmpty && read.Stored.Blob is { } address && await blobs.GetAsync(address, cancellationToken) is null)
                return new Failure(ErrorCodes.BlobMissing, $"blob {address} of run {run} is gone, and entry {read.Stored.Seq} stands in it: restore it from a backup");
        }

        return null;
    }

    /// <summary>What the fork would stumble over later is refused now. Reading checks the content too.</summary>
    private async Task<Failure?> MissingAsync(RunId run, ForkPlan plan, CancellationToken cancellationToken)
    {
        foreach (var address in plan.Blobs)
        {
            if (await blobs.GetAsync(address, cancellationToken) is null)
                return new Failure(ErrorCodes.BlobMissing, $"blob {address} of run {run} is gone, and a fork at entry {plan.Seq} needs it: fork at an earlier place, or restore it from a backup");
        }

        return null;
    }

    private static CreateRunOutcome.Refused Refused(string code, string message) => new(new Failure(code, message));
}
