using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>An agent: what it runs, where, and within which limits. Written in YAML; stored with the run as JSON.</summary>
public sealed record AgentManifest
{
    public required string Name { get; init; }
    public int? Version { get; init; }

    /// <summary>Present for a loop agent: Caisson runs the model and tool loop itself.</summary>
    public LoopSettings? Loop { get; init; }

    /// <summary>Present for an agent written in code and registered by the host under this name.</summary>
    public string? Code { get; init; }

    /// <summary>Present for a process agent: a program of any framework, run unchanged in a box.</summary>
    public ProcessSettings? Process { get; init; }

    public SandboxSettings Sandbox { get; init; } = new();
    public WorkspaceSettings Workspace { get; init; } = new();
    public LimitSettings Limits { get; init; } = new();
    public LoopGuardSettings LoopGuard { get; init; } = new();
    public RetrySettings Retry { get; init; } = new();

    /// <summary>What the box may reach. <c>null</c>: nothing.</summary>
    public IReadOnlyList<EgressRule>? Egress { get; init; }

    /// <summary>Bytes that may pass the box's wall, both ways together, over the run's whole life. <c>null</c>: 1 GiB.</summary>
    public long? EgressBytes { get; init; }

    /// <summary>Services of the host's choosing that the box finds on its loopback. <c>null</c>: none.</summary>
    public IReadOnlyList<ServiceSetting>? Services { get; init; }

    /// <summary>Servers of tools that a process agent finds at the gateway. <c>null</c>: none.</summary>
    public IReadOnlyList<McpServerSettings>? Mcp { get; init; }

    /// <summary>What happens when the agent takes another way than its journal. Default: the run pauses.</summary>
    public DriftPolicy OnDrift { get; init; } = DriftPolicy.Pause;
}

/// <param name="Model"><c>provider/model</c>; the provider is one of the server's configuration.</param>
/// <param name="Tools">Names of built-in tools: <c>shell</c>, <c>files</c>.</param>
public sealed record LoopSettings(string Model, string Instructions, IReadOnlyList<string> Tools);

/// <param name="Command">Program and arguments, started in the workspace without a shell. The run's input is its standard input, the run's result its standard output.</param>
/// <param name="Environment">More variables for it.</param>
public sealed record ProcessSettings(IReadOnlyList<string> Command, IReadOnlyDictionary<string, string> Environment)
{
    /// <summary>Default <see cref="DivergencePolicy.Live"/>.</summary>
    public DivergencePolicy OnDivergence { get; init; } = DivergencePolicy.Live;
}

/// <summary>What becomes of a restarted program that asks for something else than its journal has.</summary>
[JsonConverter(typeof(WordConverter<DivergencePolicy>))]
public enum DivergencePolicy
{
    /// <summary>It goes on, and what it asks anew is paid for; unless something recorded after the parting must not be repeated: then the run pauses.</summary>
    Live = 1,
    Pause = 2,
    Fail = 3,
}

/// <summary>The box that the run's tools work in.</summary>
public sealed record SandboxSettings
{
    /// <summary>A floor: a provider of a weaker tier is refused. Default <c>kernel</c>.</summary>
    public IsolationTier Isolation { get; init; } = IsolationTier.Kernel;

    /// <summary>What the box sees as its root: <c>host</c>, the host's own programs, or an image that the server's configuration names.</summary>
    public string Image { get; init; } = "host";

    /// <summary>Cores. Default 1.</summary>
    public double Cpu { get; init; } = 1;

    /// <summary>Default 512 MiB.</summary>
    public long MemoryBytes { get; init; } = 512L << 20;

    /// <summary>Processes and threads, those of the sandbox's own kernel included. Default 512, least 256.</summary>
    public int Pids { get; init; } = 512;

    /// <summary>Size of the workspace. Default 1 GiB.</summary>
    public long DiskBytes { get; init; } = 1L << 30;

    /// <summary>A command is ended that for so long wrote nothing and used neither CPU nor files. <c>null</c>: 5 minutes.</summary>
    public TimeSpan? IdleTimeout { get; init; }
}

/// <summary>How strong a box is. Higher is stronger; a manifest names a floor.</summary>
public enum IsolationTier
{
    /// <summary>An emulated processor: no isolation, and no manifest can ask for it. For tests of what runs on it.</summary>
    Emulated = 0,
    /// <summary>Namespaces and a seccomp filter on the host's kernel: for trusted code only.</summary>
    Process = 1,
    /// <summary>A kernel of its own in user space (gVisor).</summary>
    Kernel = 2,
    /// <summary>A virtual machine on hardware virtualisation.</summary>
    Hardware = 3,
}

/// <param name="Artifacts">Paths in the workspace that users will ask for; they are listed with the run.</param>
public sealed record WorkspaceSettings(IReadOnlyList<string> Artifacts)
{
    public WorkspaceSettings() : this([])
    {
    }

    /// <summary>What stays of the files when the run has ended. <c>null</c>: all.</summary>
    public WorkspaceKeep? Keep { get; init; }
}

/// <summary>What stays of a run's files when it has ended.</summary>
[JsonConverter(typeof(WordConverter<WorkspaceKeep>))]
public enum WorkspaceKeep
{
    /// <summary>The state after each step: the run can be forked at any of them.</summary>
    All = 1,
    /// <summary>The artifacts, as the last step left them.</summary>
    Artifacts = 2,
    None = 3,
}

/// <summary>
/// Caps of one run. <c>null</c> means no cap. What the runs below it use counts on them too, except for
/// <see cref="ChildBreadth"/> and the times, which are each run's own.
/// </summary>
public sealed record LimitSettings
{
    /// <summary>Tokens in and out together.</summary>
    public long? Tokens { get; init; }
    public long? InputTokens { get; init; }
    public long? OutputTokens { get; init; }

    /// <summary>Money, in billionths of a US dollar.</summary>
    public long? NanoUsd { get; init; }

    public long? ModelCalls { get; init; }

    /// <summary>Model calls, tool calls and named steps together. Default 200.</summary>
    public long? Steps { get; init; } = DefaultSteps;

    public long? ToolCalls { get; init; }

    /// <summary>Runs below this one, over its whole life. Default 1,000; 0 forbids them.</summary>
    public long? Children { get; init; } = DefaultChildren;

    /// <summary>Its own children alive at the same time. Default 64.</summary>
    public long? ChildBreadth { get; init; } = DefaultChildBreadth;

    /// <summary>Generations below the root run, wherever this run itself stands. Default 8; 0 forbids children.</summary>
    public long? ChildDepth { get; init; } = DefaultChildDepth;

    /// <summary>Time from the run's creation.</summary>
    public TimeSpan? Deadline { get; init; }

    /// <summary>Time at work without a completed step.</summary>
    public TimeSpan? NoProgress { get; init; }

    /// <summary>What happens at a limit. Default: the run pauses, and a raised limit resumes it.</summary>
    public LimitPolicy OnLimit { get; init; } = LimitPolicy.Pause;

    /// <summary>Tokens kept back for the last call of <see cref="LimitPolicy.WrapUp"/>, and the money that they cost at most; never more than half of a cap. Default 2,048.</summary>
    public long WrapUpTokens { get; init; } = DefaultWrapUpTokens;

    public const long DefaultSteps = 200;
    public const long DefaultChildren = 1_000;
    public const long DefaultChildBreadth = 64;
    public const long DefaultChildDepth = 8;
    public const long DefaultWrapUpTokens = 2_048;
}

public enum LimitPolicy
{
    Pause = 1,
    /// <summary>The run fails with <see cref="ErrorCodes.BudgetExceeded"/> or <see cref="ErrorCodes.DeadlineExceeded"/>.</summary>
    Stop = 2,
    /// <summary>One last model call without tools, from a small reserve, gives the run's result. Loop agents only; at a limit of time the run pauses.</summary>
    WrapUp = 3,
    /// <summary>A person is asked whether the limit is raised; the run waits for the answer.</summary>
    Ask = 4,
}

/// <summary>When calls count as a loop.</summary>
public sealed record LoopGuardSettings
{
    /// <summary>Default: the run pauses.</summary>
    public LoopPolicy OnLoop { get; init; } = LoopPolicy.Pause;

    /// <summary>The same call with the same result this many times in a row is a loop. Default 8.</summary>
    public int Repeats { get; init; } = 8;

    /// <summary>Tools whose calls the guard does not look at.</summary>
    public IReadOnlyList<string>? Exempt { get; init; }

    /// <summary>The same call with the same result; its <c>Act</c> stands in <see cref="Repeats"/>.</summary>
    public LoopThreshold? Repeat { get; init; }

    /// <summary>The same call with another result each time.</summary>
    public LoopThreshold? SameCall { get; init; }

    /// <summary>Two to eight calls with their results, in turn; counted in whole rounds.</summary>
    public LoopThreshold? Cycle { get; init; }

    /// <summary>The same error, whatever call it answers.</summary>
    public LoopThreshold? Error { get; init; }

    /// <summary>Calls that brought nothing new.</summary>
    public LoopThreshold? Stale { get; init; }

    /// <summary>The same request to the model.</summary>
    public LoopThreshold? Request { get; init; }

    /// <summary>Model calls per minute.</summary>
    public LoopThreshold? Rate { get; init; }

    /// <summary>Rounds of one passage within one answer of the model.</summary>
    public LoopThreshold? Stream { get; init; }
}

/// <summary>When one signal of the loop guard speaks; what is <c>null</c> has the signal's default.</summary>
/// <param name="Warn">So often: the model is told, and an entry journaled.</param>
/// <param name="Act">So often: <see cref="LoopGuardSettings.OnLoop"/> applies, where the policy is to act.</param>
public sealed record LoopThreshold(int? Warn = null, int? Act = null, LoopSignalPolicy? Policy = null);

[JsonConverter(typeof(WordConverter<LoopSignalPolicy>))]
public enum LoopSignalPolicy
{
    /// <summary>It only warns.</summary>
    Warn = 1,
    Act = 2,
}

public enum LoopPolicy
{
    Pause = 1,
    /// <summary>The model is told and an event is journaled; the run goes on.</summary>
    Warn = 2,
    /// <summary>The run fails with <see cref="ErrorCodes.LoopDetected"/>.</summary>
    Stop = 3,
}

public enum DriftPolicy
{
    Pause = 1,
    /// <summary>The run goes on the new way, unless a step recorded after the parting must not be repeated: then it pauses.</summary>
    Live = 2,
}

/// <summary>How long a failing step is tried again.</summary>
public sealed record RetrySettings
{
    /// <summary>Attempts in all; 429 and overload do not count. Default 8.</summary>
    public int Attempts { get; init; } = 8;

    /// <summary>Time from the first attempt. Default 15 minutes.</summary>
    public TimeSpan Elapsed { get; init; } = TimeSpan.FromMinutes(15);
}

/// <summary>What a budget counts.</summary>
public enum LimitDimension
{
    NanoUsd = 1,
    Tokens = 2,
    Steps = 3,
    ToolCalls = 4,
    Deadline = 5,
    ModelCalls = 6,
    InputTokens = 7,
    OutputTokens = 8,
    /// <summary>Runs below, over the whole life.</summary>
    Children = 9,
    /// <summary>Own children alive at the same time.</summary>
    ChildBreadth = 10,
    /// <summary>Generations below the root run.</summary>
    ChildDepth = 11,
    /// <summary>Time at work without a completed step.</summary>
    NoProgress = 12,
}
