using System.Globalization;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Tests.EngineTests;

namespace Caisson.Storage.Tests.CrashPoints;

/// <summary>
/// An agent to be killed at every write, with what is said to it from outside. Effects whose name begins with <c>once</c>
/// must not happen twice. Golden journals are recorded of these agents and replay for ever: a new way of asking is a new
/// sample, a change to one of these is drift.
/// </summary>
internal sealed class Sample
{
    internal Script Agent { get; init; } = (_, _, _) => Task.FromResult("");

    internal string Manifest { get; init; } = "name: test\ncode: test\nlimits:\n  steps: 100\n";

    /// <summary>What a loop agent talks to.</summary>
    internal Func<ScriptedModel>? Models { get; init; }

    /// <summary>Talks to a model that never has enough.</summary>
    internal bool IsBusy { get; init; }

    /// <summary>With this a person resumes the run whenever it is paused.</summary>
    internal RaisedLimits? Raises { get; init; }

    /// <summary>Its commands send something, once for each command.</summary>
    internal bool Sends { get; init; }

    /// <summary>What is stored before it begins: workspaces that its tools leave.</summary>
    internal IReadOnlyList<ReadOnlyMemory<byte>> Blobs { get; init; } = [];

    internal Script Child { get; init; } = (_, _, _) => Task.FromResult("");

    internal IReadOnlyList<string> Signals { get; init; } = [];

    internal IReadOnlyList<string> Approvers { get; init; } = [];

    internal bool Approves { get; init; } = true;

    /// <summary>A report and junk, after each of two tools.</summary>
    private static readonly ReadOnlyMemory<byte>[] Workspaces = [.. Enumerable.Range(1, 2).Select(turn => new ReadOnlyMemory<byte>(TreeNode.Encode(
        new[] { "junk", "report.md" }.Select(name => new TreeEntry(Encoding.UTF8.GetBytes(name), TreeKind.File, 0x1a4, 1, TreeContent.Inline, [(byte)('0' + turn)])))))];

    internal static readonly IReadOnlyDictionary<string, Sample> All = new Dictionary<string, Sample>
    {
        ["sequential with retries"] = new() { Agent = SequentialAsync },
        ["parallel branches"] = new() { Agent = BranchesAsync },
        ["children"] = new() { Agent = ParentAsync, Child = ChildAsync },
        ["signals and timers"] = new() { Agent = WaitingAsync, Signals = ["go#1", "go#2", "early"] },
        ["approvals"] = new() { Agent = AskingAsync, Approvers = ["ann", "bob"] },
        ["nested branches and effects"] = new() { Agent = NestedAsync },
        ["the last answer at a limit"] = new() { IsBusy = true, Manifest = "name: test\nloop: {model: mock/m, instructions: go}\nlimits: {steps: 6, on_limit: wrap_up}\n" },
        ["kept artifacts"] = new() { Agent = FilesAsync, Manifest = "name: test\ncode: test\nworkspace: { artifacts: [report.md], keep: artifacts }\n", Blobs = Workspaces },
        ["snapshots"] = new() { Agent = SnapshotsAsync, Signals = ["go#1", "go#2"] },
    };

    /// <summary>A loop agent: one of its results is a blob, and it reaches its limit on the way. A death in a paid call is in doubt, so it does not come out as if it had not been.</summary>
    internal static readonly Sample Loop = new()
    {
        Manifest = "name: loop\nloop: {model: mock/m, instructions: go}\nlimits: {usd: 0.000000020}\n",
        Models = () => new ScriptedModel(turn => turn < 3 ? $$"""{"n":{{turn}},"pad":"{{new string('x', turn == 1 ? JournalDraft.InlineBytes : 0)}}"}""" : null),
        Raises = new RaisedLimits(NanoUsd: 1_000_000_000),
    };

    /// <summary>A loop agent whose commands send something: killed in between, nobody knows whether it arrived.</summary>
    internal static readonly Sample Sending = new()
    {
        Manifest = "name: sending\nloop: {model: mock/m, instructions: go, tools: [shell]}\negress:\n  - {host: api.test.example}\n",
        Models = () => new ScriptedModel(turn => turn < 2 ? $$"""{"command":"{{turn}}"}""" : null) { Tool = "shell" },
        Sends = true,
    };

    private static Task<string> StepAsync(IRunContext context, Act act, string name, string? effect = null) => context.StepAsync(name, async _ =>
    {
        await act(effect ?? name);
        return $"{effect ?? name}!";
    });

    private static async Task<string> SequentialAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var text = context.Input;
        for (var i = 0; i < 3; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"step {i}");
            text += await context.StepAsync(name, async step =>
            {
                if (step.Attempt < 3)
                    throw new InvalidOperationException("not yet");
                await act(name);
                return name;
            });
        }

        return text;
    }

    private static async Task<string> BranchesAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var results = await context.WhenAllAsync(Enumerable.Range(0, 3).Select(i => (Func<IRunContext, Task<string>>)(async branch =>
        {
            var text = "";
            for (var n = 0; n < 2; n++)
                text += await StepAsync(branch, act, "same name", string.Create(CultureInfo.InvariantCulture, $"branch {i} step {n}"));
            return text;
        })));
        return string.Join(",", results) + await StepAsync(context, act, "last");
    }

    private static async Task<string> ParentAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var before = await StepAsync(context, act, "before");
        var one = await context.SpawnAsync(new ChildSpec("child", "one"));
        var two = await context.SpawnAsync(new ChildSpec("child", "two"));
        var ends = await Task.WhenAll(one.Ended, two.Ended);
        var refused = "";
        try
        {
            await context.SpawnAsync(new ChildSpec("test", context.Input));
        }
        catch (StepFailedException failed)
        {
            refused = failed.Failure.Code;
        }

        return $"{before} {ends[0].Result} {ends[1].Status} {ends[1].Failure?.Message} {refused}";
    }

    private static async Task<string> ChildAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var result = await StepAsync(context, act, "child " + context.Input);
        return context.Input == "two" ? throw new StepFailedException(new Failure("too_bad", "two is bad")) : result;
    }

    private static async Task<string> WaitingAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var before = await StepAsync(context, act, "before");
        var never = await context.WaitForSignalAsync("never", TimeSpan.FromMilliseconds(1));
        var both = await Task.WhenAll(context.WaitForSignalAsync("go", TimeSpan.FromHours(1)), context.WaitForSignalAsync("go", TimeSpan.FromHours(1)));
        await context.SleepAsync(TimeSpan.FromMilliseconds(1));
        var early = await context.WaitForSignalAsync("early");
        await StepAsync(context, act, "after");
        return $"{before} {never} {both[0]!.Payload} {both[1]!.Payload} {early!.Payload}";
    }

    private static async Task<string> AskingAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var first = await context.ApproveAsync("go on?");
        await StepAsync(context, act, "between");
        var second = await context.ApproveAsync("really?", new ApprovalOptions { FourEyes = true, Arguments = "all of it", Timeout = TimeSpan.FromHours(1) });
        await StepAsync(context, act, "after");
        return $"{first.Approved} {second.Approved} {string.Join("+", second.By.Order(StringComparer.Ordinal))}";
    }

    private static async Task<string> NestedAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var results = await context.WhenAllAsync(new Func<IRunContext, Task<string>>[]
        {
            outer => outer.BranchAsync(async inner => await EffectAsync(inner, act, effects, "once inner") + await StepAsync(inner, act, "same", "inner")),
            async outer => await StepAsync(outer, act, "same", "outer") + await EffectAsync(outer, act, effects, "once outer"),
        });
        var told = "";
        try
        {
            await context.StepAsync("once blind", async _ =>
            {
                await act("once blind");
                return "";
            }, new StepOptions<string> { Effect = EffectClass.AtMostOnce });
        }
        catch (StepFailedException unknown)
        {
            // Whether it is told or done, the agent ends alike; that it happened at most once is the ledger's to show.
            told = unknown.Failure.Code == ErrorCodes.StepUnknown ? "" : unknown.Failure.Code;
        }

        return string.Join(",", results) + told + context.NewGuid().ToString("N")[..0] + await StepAsync(context, act, "last");
    }

    private static Task<string> EffectAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects, string name) => context.StepAsync(name, async _ =>
    {
        await act(name);
        return name;
    }, new StepOptions<string>
    {
        Effect = EffectClass.AtMostOnce,
        Verify = _ => Task.FromResult(effects.ContainsKey(name) ? new EffectCheck<string>(EffectState.Done, name) : new EffectCheck<string>(EffectState.NotDone)),
    });

    private static async Task<string> FilesAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        foreach (var (turn, tree) in Workspaces.Index())
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"tool {turn}");
            await ((RunContext)context).ToolAsync(new StepKey(StepHash.Of(name)), new StepSubject(StepKind.Tool, "files", "", null, null), async (_, _) =>
            {
                await act(name);
                return new StepAttempt.Done("{}"u8.ToArray(), WorkspaceRoot: new MemoryBlobs().AddressOf(tree.Span));
            });
        }

        return "done";
    }

    private static async Task<string> SnapshotsAsync(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects)
    {
        var text = "";
        for (var i = context.Saved is { } saved ? saved.Span[0] : 0; i < 2; i++)
        {
            await StepAsync(context, act, "step", string.Create(CultureInfo.InvariantCulture, $"step {i}"));
            await context.SnapshotAsync(new byte[] { (byte)(i + 1) });
        }

        for (var i = 0; i < 2; i++)
            text += (await context.WaitForSignalAsync("go"))!.Payload;
        return text;
    }
}
