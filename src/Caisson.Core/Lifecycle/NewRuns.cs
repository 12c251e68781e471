using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Manifests;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>What somebody wants run: an operator, a schedule, a parent.</summary>
/// <param name="Manifest">YAML; <c>null</c> for the agent in <see cref="Code"/> with default settings.</param>
/// <param name="Source">For messages: the file or the parent.</param>
public sealed record RunOrder(string? Manifest, string Source, string Input, RunOverrides Limits)
{
    public RunId? Id { get; init; }
    public string? Code { get; init; }
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
    public string? IdempotencyKey { get; init; }
    public string Tenant { get; init; } = BudgetNodes.DefaultTenant;
    public RunId? Parent { get; init; }
    public int Depth { get; init; }
    public IReadOnlyList<string> Ancestry { get; init; } = [];
}

/// <summary>Checks an order, and makes of it what a store accepts as a run. The one place where runs are refused.</summary>
public sealed class NewRuns(
    IBlobStore blobs,
    IModels models,
    IReadOnlyList<ISandboxProvider> sandboxes,
    AgentBuilds codeAgents,
    TimeProvider clock,
    IIdSource ids)
{
    /// <summary>Input of a run, in UTF-8.</summary>
    public const int MaxInputBytes = 1 << 20;

    public const int MaxManifestBytes = 256 << 10;

    public async Task<(NewRun? Run, Failure? Refusal)> PrepareAsync(RunOrder order, CancellationToken cancellationToken)
    {
        if (Sizes.Utf8(order.Input) > MaxInputBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the input has {Sizes.Utf8(order.Input)} bytes, at most {MaxInputBytes} are allowed: put large data into files");
        if (order.Manifest is { } text && Sizes.Utf8(text) > MaxManifestBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the manifest has {Sizes.Utf8(text)} bytes, at most {MaxManifestBytes} are allowed");
        if (order.IdempotencyKey is { Length: > 200 or 0 })
            return Refuse(ErrorCodes.RequestInvalid, "an idempotency key has 1 to 200 characters");
        if (order.Labels.Count > 32 || order.Labels.Any(l => l.Key.Length is 0 or > 100 || l.Value.Length > 200))
            return Refuse(ErrorCodes.RequestInvalid, "labels: at most 32, with keys of 1 to 100 and values of up to 200 characters");
        if (order.Manifest is null)
            return await PrepareAsync(order, new AgentManifest { Name = order.Code!, Code = order.Code }, ManifestReader.HashOf(new AgentManifest { Name = order.Code!, Code = order.Code }), cancellationToken);
        return ManifestReader.Read(order.Manifest, order.Source) switch
        {
            ManifestOutcome.Invalid invalid => (null, invalid.Problem),
            ManifestOutcome.Valid valid => await PrepareAsync(order, valid.Manifest, valid.Hash, cancellationToken),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    private async Task<(NewRun? Run, Failure? Refusal)> PrepareAsync(RunOrder order, AgentManifest written, string hash, CancellationToken cancellationToken)
    {
        var overridden = LimitOverrides.Apply(written, order.Limits);
        if (overridden.Failure is { } bad)
            return (null, bad);
        var manifest = overridden.Manifest;
        if (manifest.Code is { } code && !codeAgents.Knows(code))
            return Refuse(ErrorCodes.AgentNotFound, $"{order.Source}: code: no agent '{code}' is registered in this server{(codeAgents.Names.Count == 0 ? "" : "; registered are " + string.Join(", ", codeAgents.Names.Order(StringComparer.Ordinal)))}");
        if (manifest.Loop is { } loop)
        {
            if (models.Check(loop.Model, manifest.Limits.NanoUsd is not null) is { } unknown)
                return (null, unknown);
            if (loop.Tools.Count > 0 && await FindSandboxProviderAsync(manifest.Sandbox.Isolation, cancellationToken) is { } missing)
                return (null, missing);
        }

        var created = new EntryBody.RunCreated(manifest, hash, order.Input, EngineVersion.Text, order.Labels) { Build = manifest.Code is { } name ? codeAgents.BuildOf(name) : null, Ancestry = order.Ancestry };
        var draft = await JournalWriter.DraftAsync(blobs, EntryKind.RunCreated, JournalJson.Write(created), cancellationToken);
        return (new NewRun(order.Id ?? new RunId(ids.NextRun()), manifest.Name, order.IdempotencyKey,
            StepHash.Of(["request", ManifestReader.HashOf(manifest), order.Input, .. order.Labels.OrderBy(l => l.Key, StringComparer.Ordinal).SelectMany(l => new[] { l.Key, l.Value })]),
            clock.GetUtcNow(), draft,
            new RunSummary { Artifacts = manifest.Workspace.Artifacts, Labels = order.Labels },
            manifest.Limits.NanoUsd, manifest.Limits.Tokens)
        {
            Tenant = order.Tenant,
            Parent = order.Parent,
            Depth = order.Depth,
            Caps = CountLimits.CapsOf(manifest.Limits),
        }, null);
    }

    private async Task<Failure?> FindSandboxProviderAsync(IsolationTier floor, CancellationToken cancellationToken)
    {
        var reasons = new List<string>();
        foreach (var provider in sandboxes)
        {
            if (provider.Tier < floor)
            {
                reasons.Add($"{provider.Name} is of tier {Words.Of(provider.Tier)}");
                continue;
            }

            var probe = await provider.ProbeAsync(cancellationToken);
            if (probe.Offered)
                return null;
            reasons.Add($"{provider.Name}: {probe.Detail}{(probe.Remedy is null ? "" : "; " + probe.Remedy)}");
        }

        var found = reasons.Count == 0 ? "none is configured" : string.Join("; ", reasons);
        return new Failure(ErrorCodes.SandboxUnavailable, $"no sandbox provider of tier {Words.Of(floor)} or stronger ({found}): run 'caisson doctor'");
    }

    private static (NewRun?, Failure?) Refuse(string code, string message) => (null, new Failure(code, message));
}

/// <summary>The agents in code that this process has, each with the build that it is of.</summary>
public sealed class AgentBuilds(IReadOnlyDictionary<string, string> builds)
{
    public static readonly AgentBuilds None = new(new Dictionary<string, string>());

    public IReadOnlyCollection<string> Names => [.. builds.Keys];

    public bool Knows(string name) => builds.ContainsKey(name);

    /// <summary>Changes whenever the agent's code may take another way; <c>null</c> for an unknown agent.</summary>
    public string? BuildOf(string name) => builds.GetValueOrDefault(name);
}
