using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Manifests;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Makes a checked run out of a manifest's text: whoever starts runs (people, schedules) refuses the same things in the same words.</summary>
public sealed class NewRuns(
    IBlobStore blobs,
    IModels models,
    IReadOnlyList<ISandboxProvider> sandboxes,
    AgentBuilds codeAgents,
    TimeProvider clock,
    IIdSource ids,
    KillSwitches? kills = null,
    ISandboxRegistry? boxes = null,
    IBoxEgress? egress = null,
    bool servesProcesses = false)
{
    /// <summary>Input of a run, in UTF-8.</summary>
    public const int MaxInputBytes = 1 << 20;

    public const int MaxManifestBytes = 256 << 10;

    private const int MaxLabels = 32;

    /// <summary>Everything that can be refused before a run exists, and nothing written.</summary>
    public async Task<CheckedRun> CheckAsync(CreateRun command, CancellationToken cancellationToken)
    {
        if (Sizes.Utf8(command.Input) > MaxInputBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the input has {Sizes.Utf8(command.Input)} bytes, at most {MaxInputBytes} are allowed: put large data into files");
        if (command.Own is { } own)
            return await CheckAsync(command, new ManifestOutcome.Valid(own, ManifestReader.HashOf(own)), cancellationToken);
        if (command.Manifest.Length == 0 && command.Code is not null)
            return await CheckAsync(command, new ManifestOutcome.Valid(new AgentManifest { Name = command.Code, Code = command.Code }, ""), cancellationToken);
        if (Sizes.Utf8(command.Manifest) > MaxManifestBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the manifest has {Sizes.Utf8(command.Manifest)} bytes, at most {MaxManifestBytes} are allowed");
        if (command.IdempotencyKey is { Length: > 200 or 0 })
            return Refuse(ErrorCodes.RequestInvalid, "an idempotency key has 1 to 200 characters");
        if (command.Labels.Count > MaxLabels || command.Labels.Any(l => l.Key.Length is 0 or > 100 || l.Value.Length > 200))
            return Refuse(ErrorCodes.RequestInvalid, $"labels: at most {MaxLabels}, with keys of 1 to 100 and values of up to 200 characters");
        switch (ManifestReader.Read(command.Manifest, command.ManifestFile))
        {
            case ManifestOutcome.Invalid invalid:
                return new CheckedRun.Refused(invalid.Problem);
            case ManifestOutcome.Valid valid:
                return await CheckAsync(command, valid, cancellationToken);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>Why no run of this agent may start now, or <c>null</c>. Apart from the check: a schedule may be put while its agent is stopped.</summary>
    public Failure? Stopped(string tenant, string agent) => kills?.Stopped(tenant, agent);

    /// <summary>The run as the store takes it. Large parts go to the blob store, where nothing refers to them until the run is committed.</summary>
    public async Task<NewRun> BuildAsync(CheckedRun.Valid run, CancellationToken cancellationToken)
    {
        var (command, manifest) = (run.Command, run.Manifest);
        var created = new EntryBody.RunCreated(manifest, run.ManifestHash, command.Input, EngineVersion.Text, command.Labels)
        {
            Build = manifest.Code is { } code ? codeAgents.BuildOf(code) : null,
            Workspace = command.Workspace,
            Ancestry = command.Ancestry,
        };
        var draft = await JournalWriter.DraftAsync(blobs, EntryKind.RunCreated, JournalJson.Write(created), cancellationToken);
        return new NewRun(command.Id ?? new RunId(ids.NextRun()), manifest.Name, command.IdempotencyKey,
            StepHash.Of(["request", ManifestReader.HashOf(manifest), command.Input, .. command.Workspace is null ? Array.Empty<string>() : ["workspace", command.Workspace], .. command.Labels.OrderBy(l => l.Key, StringComparer.Ordinal).SelectMany(l => new[] { l.Key, l.Value })]),
            clock.GetUtcNow(), draft, new RunSummary { Artifacts = manifest.Workspace.Artifacts, Labels = command.Labels, WorkspaceRoot = command.Workspace, StartRoot = command.Workspace },
            manifest.Limits.NanoUsd, manifest.Limits.Tokens)
        {
            Tenant = command.Tenant,
            Parent = command.Parent,
            Depth = command.Depth,
            Caps = CountLimits.CapsOf(manifest.Limits),
        };
    }

    private async Task<CheckedRun> CheckAsync(CreateRun command, ManifestOutcome.Valid valid, CancellationToken cancellationToken)
    {
        var (manifest, bad) = LimitOverrides.Apply(valid.Manifest, command.Limits);
        if (bad is not null)
            return new CheckedRun.Refused(bad);
        if (manifest.Code is { } code && !codeAgents.Knows(code))
            return Refuse(ErrorCodes.AgentNotFound, $"{command.ManifestFile}: code: no agent '{code}' is registered in this server{(codeAgents.Names.Count == 0 ? "" : "; registered are " + string.Join(", ", codeAgents.Names.Order(StringComparer.Ordinal)))}");
        if (manifest.Loop is { } loop)
        {
            if (models.Check(loop.Model, manifest.Limits.NanoUsd is not null) is { } unknown)
                return new CheckedRun.Refused(unknown);
            if (loop.Tools.Count > 0 && await FindSandboxProviderAsync(manifest.Sandbox.Isolation, cancellationToken) is { } missing)
                return new CheckedRun.Refused(missing);
            if (loop.Tools.Count > 0 && boxes?.CheckImage(manifest.Sandbox.Image) is { } unknownImage)
                return new CheckedRun.Refused(unknownImage);
        }

        if (manifest.Process is not null)
        {
            if (!servesProcesses)
                return Refuse(ErrorCodes.ManifestInvalid, $"{command.ManifestFile}: process: this server runs no process agents: send it to one that does");
            if (await FindSandboxProviderAsync(manifest.Sandbox.Isolation, cancellationToken) is { } missing)
                return new CheckedRun.Refused(missing);
            if (boxes?.CheckImage(manifest.Sandbox.Image) is { } unknownImage)
                return new CheckedRun.Refused(unknownImage);
        }

        if (command.Workspace is { } root && (!root.All(char.IsAsciiHexDigitLower) || await blobs.GetAsync(root, cancellationToken) is null))
            return Refuse(ErrorCodes.BlobMissing, $"there is no saved workspace '{(root.Length > 64 ? root[..64] + "…" : root)}': upload it with POST /v1/workspaces, and create the run within the hour");
        if (manifest is not { Egress: null, Services: null, Mcp: null })
        {
            var problem = egress is null ? new Failure(ErrorCodes.EgressNotGranted, "egress: this server lets nothing out of boxes: use one that does, or take 'egress' and 'services' out of the manifest") : egress.Problem(manifest);
            if (problem is not null)
                return new CheckedRun.Refused(problem with { Message = $"{command.ManifestFile}: {problem.Message}" });
        }

        return new CheckedRun.Valid(command, manifest, valid.Hash);
    }

    private async Task<Failure?> FindSandboxProviderAsync(IsolationTier floor, CancellationToken cancellationToken)
    {
        var reasons = new List<string>();
        foreach (var provider in sandboxes)
        {
            // First, because how strong its boxes are is known only then.
            var probe = await provider.ProbeAsync(cancellationToken);
            if (probe.Offered && provider.Tier >= floor)
                return null;
            reasons.Add(probe.Offered
                ? $"{provider.Name} is of tier {Words.Of(provider.Tier)}"
                : $"{provider.Name}: {probe.Detail}{(probe.Remedy is null ? "" : "; " + probe.Remedy)}");
        }

        var found = reasons.Count == 0 ? "none is configured" : string.Join("; ", reasons);
        return new Failure(ErrorCodes.SandboxUnavailable, $"no sandbox provider of tier {Words.Of(floor)} or stronger ({found}): run 'caisson doctor'");
    }

    private static CheckedRun.Refused Refuse(string code, string message) => new(new Failure(code, message));
}

public abstract record CheckedRun
{
    /// <param name="Manifest">With the command's limits in it.</param>
    /// <param name="ManifestHash">Of the manifest as it was written.</param>
    public sealed record Valid(CreateRun Command, AgentManifest Manifest, string ManifestHash) : CheckedRun;

    public sealed record Refused(Failure Failure) : CheckedRun;
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
