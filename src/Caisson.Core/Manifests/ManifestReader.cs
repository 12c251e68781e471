using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Caisson.Core.Manifests;

/// <summary>
/// Reads an agent's manifest. A manifest is hostile: unknown keys, doubled keys, anchors, wrong types and impossible
/// values are refused with file, line, key, what was found and what is allowed.
/// </summary>
public static class ManifestReader
{
    private const int MaxArtifacts = 100;
    private const long MaxTokens = 1_000_000_000_000;
    private const long MaxSteps = 1_000_000;
    private const long MaxChildDepth = 64;

    public static ManifestOutcome Read(string text, string fileName)
    {
        try
        {
            var manifest = Agent(YamlSection.Load(text, fileName));
            return new ManifestOutcome.Valid(manifest, HashOf(manifest));
        }
        catch (ManifestException problem)
        {
            return new ManifestOutcome.Invalid(new Failure(ErrorCodes.ManifestInvalid, problem.Message));
        }
        catch (YamlException problem)
        {
            return new ManifestOutcome.Invalid(new Failure(ErrorCodes.ManifestInvalid,
                $"{fileName}:{problem.Start.Line}: not valid YAML: {OneLine(problem.InnerException?.Message ?? problem.Message)}"));
        }
        catch (Exception problem) when (problem is InvalidOperationException or ArgumentException or FormatException)
        {
            // The parser has an exception of its own for what is no YAML, but uses these as well.
            return new ManifestOutcome.Invalid(new Failure(ErrorCodes.ManifestInvalid, $"{fileName}:1: not valid YAML: {OneLine(problem.Message)}"));
        }
    }

    internal static string HashOf(AgentManifest manifest) => StepHash.Of("manifest", JsonSerializer.Serialize(manifest, ApiJson.Default.AgentManifest));

    private static AgentManifest Agent(YamlSection root)
    {
        root.Allow("name", "version", "loop", "code", "process", "sandbox", "workspace", "limits", "loop_guard", "retry", "on_drift", "egress", "egress_bytes", "services", "mcp");
        var name = root.RequiredText("name", 100);
        if (!name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw root.Bad("name", name, "letters, digits, '-', '_' and '.'");
        var loop = root.Section("loop");
        var code = root.Text("code", 100);
        var process = root.Section("process");
        string?[] kinds = [loop is null ? null : "loop", code is null ? null : "code", process is null ? null : "process"];
        if (kinds.OfType<string>().ToList() is not [_] and var found)
            throw root.Bad(found.Count == 0 ? "loop" : found[^1], found.Count == 0 ? "nothing" : string.Join(" and ", found), "exactly one of loop, code and process");
        return new AgentManifest
        {
            Name = name,
            Version = (int?)root.Whole("version", 1, int.MaxValue),
            Loop = loop is null ? null : Loop(loop),
            Code = code,
            Process = process is null ? null : ProcessReader.Read(process),
            Sandbox = root.Section("sandbox") is { } sandbox ? Sandbox(sandbox) : new(),
            Workspace = root.Section("workspace") is { } workspace ? Workspace(workspace) : new(),
            Limits = root.Section("limits") is { } limits ? Limits(limits, isLoop: loop is not null) : new(),
            LoopGuard = root.Section("loop_guard") is { } guard ? LoopGuardReader.Read(guard) : new(),
            OnDrift = root.Word("on_drift", DriftPolicy.Pause),
            Retry = root.Section("retry") is { } retry ? Retry(retry) : new(),
            Egress = EgressReader.Rules(root),
            EgressBytes = EgressReader.Bytes(root),
            Services = EgressReader.Services(root),
            Mcp = McpReader.Read(root),
        };
    }

    private static LoopSettings Loop(YamlSection loop)
    {
        loop.Allow("model", "instructions", "tools");
        var model = loop.RequiredText("model", 200);
        if (model.IndexOf('/', StringComparison.Ordinal) is <= 0 || model.EndsWith('/'))
            throw loop.Bad("model", model, "provider/model, as openai/gpt-5.1-mini");
        var tools = loop.List("tools", 64);
        foreach (var (tool, line) in tools)
        {
            if (!Agents.Tools.BuiltInTools.Names.Contains(tool))
                throw loop.BadAt(line, "tools", tool, string.Join(", ", Agents.Tools.BuiltInTools.Names));
        }

        if (tools.GroupBy(t => t.Value).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw loop.BadAt(twice.Last().Line, "tools", $"{twice.Key} twice", "each tool once");
        return new LoopSettings(model, loop.RequiredText("instructions", 128 << 10), [.. tools.Select(t => t.Value)]);
    }

    private static SandboxSettings Sandbox(YamlSection sandbox)
    {
        sandbox.Allow("isolation", "image", "cpu", "memory", "pids", "disk", "idle_timeout");
        var defaults = new SandboxSettings();
        var image = sandbox.Text("image", 100) ?? defaults.Image;
        if (image.Length == 0 || !image.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw sandbox.Bad("image", image, "host, or the name of an image in the server's configuration: letters, digits, '-', '_' and '.'");
        return new SandboxSettings
        {
            Image = image,
            Isolation = sandbox.Word("isolation", defaults.Isolation, IsolationTier.Emulated),
            Cpu = sandbox.Number("cpu", 0.1, 256) ?? defaults.Cpu,
            MemoryBytes = sandbox.Size("memory", 64L << 20, 1L << 40) ?? defaults.MemoryBytes,
            Pids = (int?)sandbox.Whole("pids", 256, 32768) ?? defaults.Pids,
            IdleTimeout = sandbox.Duration("idle_timeout", TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            DiskBytes = sandbox.Size("disk", 16L << 20, 1L << 40) ?? defaults.DiskBytes,
        };
    }

    private static WorkspaceSettings Workspace(YamlSection workspace)
    {
        workspace.Allow("artifacts", "keep");
        var artifacts = workspace.List("artifacts", MaxArtifacts);
        foreach (var (path, line) in artifacts)
        {
            if (path.Length == 0 || path.StartsWith('/') || path.Split('/').Any(part => part is "" or "." or ".."))
                throw workspace.BadAt(line, "artifacts", path, "paths relative to the workspace, without '.' and '..'");
        }

        var keep = workspace.Word("keep", WorkspaceKeep.All);
        if (keep == WorkspaceKeep.Artifacts && artifacts.Count == 0)
            throw workspace.Bad("keep", "artifacts", "all or none where workspace.artifacts lists nothing: name the paths to keep there");
        return new WorkspaceSettings([.. artifacts.Select(a => a.Value)]) { Keep = keep == WorkspaceKeep.All ? null : keep };
    }

    private static LimitSettings Limits(YamlSection limits, bool isLoop)
    {
        limits.Allow("usd", "tokens", "input_tokens", "output_tokens", "model_calls", "steps", "tool_calls", "children", "child_breadth", "child_depth",
            "deadline", "no_progress", "on_limit", "wrap_up_tokens");
        var defaults = new LimitSettings();
        var policy = limits.Word("on_limit", defaults.OnLimit);
        if (policy == LimitPolicy.WrapUp && !isLoop)
            throw limits.Bad("on_limit", "wrap_up", "pause, stop or ask for an agent in code: only loop agents are asked for a last answer");
        var reserve = limits.Count("wrap_up_tokens", WrapUp.UsefulOutput * 2, 1_000_000);
        if (reserve is not null && policy != LimitPolicy.WrapUp)
            throw limits.Bad("wrap_up_tokens", $"on_limit: {Words.Of(policy)}", "wrap_up_tokens with on_limit: wrap_up only");
        return new LimitSettings
        {
            NanoUsd = limits.Usd("usd"),
            Tokens = limits.Count("tokens", 1, MaxTokens),
            InputTokens = limits.Count("input_tokens", 1, MaxTokens),
            OutputTokens = limits.Count("output_tokens", 1, MaxTokens),
            ModelCalls = limits.Count("model_calls", 1, MaxSteps),
            Steps = limits.Count("steps", 1, MaxSteps) ?? defaults.Steps,
            ToolCalls = limits.Count("tool_calls", 1, MaxSteps),
            Children = limits.Count("children", 0, MaxSteps) ?? defaults.Children,
            ChildBreadth = limits.Count("child_breadth", 1, MaxSteps) ?? defaults.ChildBreadth,
            ChildDepth = limits.Count("child_depth", 0, MaxChildDepth) ?? defaults.ChildDepth,
            Deadline = limits.Duration("deadline", TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)),
            NoProgress = limits.Duration("no_progress", TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)),
            OnLimit = policy,
            WrapUpTokens = reserve ?? defaults.WrapUpTokens,
        };
    }

    private static RetrySettings Retry(YamlSection retry)
    {
        retry.Allow("attempts", "elapsed");
        var defaults = new RetrySettings();
        return new RetrySettings
        {
            Attempts = (int?)retry.Whole("attempts", 1, 100) ?? defaults.Attempts,
            Elapsed = retry.Duration("elapsed", TimeSpan.FromSeconds(1), TimeSpan.FromDays(7)) ?? defaults.Elapsed,
        };
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
