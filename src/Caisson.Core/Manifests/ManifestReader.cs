using System.Text.Json;
using Caisson.Contracts;
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
        root.Allow("name", "version", "loop", "code", "sandbox", "workspace", "limits", "loop_guard", "retry");
        var name = root.RequiredText("name", 100);
        if (!name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw root.Bad("name", name, "letters, digits, '-', '_' and '.'");
        var loop = root.Section("loop");
        var code = root.Text("code", 100);
        if (loop is null == code is null)
            throw root.Bad(loop is null ? "loop" : "code", loop is null ? "nothing" : "both loop and code", "exactly one of loop and code");
        return new AgentManifest
        {
            Name = name,
            Version = (int?)root.Whole("version", 1, int.MaxValue),
            Loop = loop is null ? null : Loop(loop),
            Code = code,
            Sandbox = root.Section("sandbox") is { } sandbox ? Sandbox(sandbox) : new(),
            Workspace = root.Section("workspace") is { } workspace ? Workspace(workspace) : new(),
            Limits = root.Section("limits") is { } limits ? Limits(limits) : new(),
            LoopGuard = root.Section("loop_guard") is { } guard ? Guard(guard) : new(),
            Retry = root.Section("retry") is { } retry ? Retry(retry) : new(),
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
        sandbox.Allow("isolation", "image", "cpu", "memory", "pids", "disk");
        if (sandbox.Text("image", 200) is { } image && image != "host")
            throw sandbox.Bad("image", image, "host");
        var defaults = new SandboxSettings();
        return new SandboxSettings
        {
            Isolation = sandbox.Word("isolation", defaults.Isolation),
            Cpu = sandbox.Number("cpu", 0.1, 256) ?? defaults.Cpu,
            MemoryBytes = sandbox.Size("memory", 64L << 20, 1L << 40) ?? defaults.MemoryBytes,
            Pids = (int?)sandbox.Whole("pids", 256, 32768) ?? defaults.Pids,
            DiskBytes = sandbox.Size("disk", 16L << 20, 1L << 40) ?? defaults.DiskBytes,
        };
    }

    private static WorkspaceSettings Workspace(YamlSection workspace)
    {
        workspace.Allow("artifacts");
        var artifacts = workspace.List("artifacts", MaxArtifacts);
        foreach (var (path, line) in artifacts)
        {
            if (path.Length == 0 || path.StartsWith('/') || path.Split('/').Any(part => part is "" or "." or ".."))
                throw workspace.BadAt(line, "artifacts", path, "paths relative to the workspace, without '.' and '..'");
        }

        return new WorkspaceSettings([.. artifacts.Select(a => a.Value)]);
    }

    private static LimitSettings Limits(YamlSection limits)
    {
        limits.Allow("tokens", "usd", "steps", "tool_calls", "deadline", "on_limit");
        var defaults = new LimitSettings();
        return new LimitSettings
        {
            Tokens = limits.Count("tokens", 1, 1_000_000_000_000),
            NanoUsd = limits.Usd("usd"),
            Steps = limits.Count("steps", 1, 1_000_000) ?? defaults.Steps,
            ToolCalls = limits.Count("tool_calls", 1, 1_000_000),
            Deadline = limits.Duration("deadline", TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)),
            OnLimit = limits.Word("on_limit", defaults.OnLimit),
        };
    }

    private static LoopGuardSettings Guard(YamlSection guard)
    {
        guard.Allow("on_loop", "repeats");
        var defaults = new LoopGuardSettings();
        return new LoopGuardSettings
        {
            OnLoop = guard.Word("on_loop", defaults.OnLoop),
            Repeats = (int?)guard.Whole("repeats", 2, 1000) ?? defaults.Repeats,
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
