using System.Diagnostics;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Loops;
using Caisson.Core.Manifests;
using CsCheck;

namespace Caisson.Core.Tests.Manifests;

public sealed class ManifestReaderTests
{
    private const string Full = """
        # An agent with everything.
        name: licence-inventory.v2_x
        version: 3
        loop:
          model: openai/gpt-5.1-mini
          instructions: |
            Read the files.
            Write a report.
          tools: [shell, files]
        sandbox:
          isolation: hardware
          image: host
          cpu: 1.5
          memory: 512MiB
          pids: 1024
          disk: 2GiB
        workspace:
          artifacts:
            - report.md
            - out/data.json
          keep: artifacts
        limits:
          tokens: 200k
          usd: 2.50
          steps: 60
          input_tokens: 150k
          output_tokens: 50k
          model_calls: 30
          tool_calls: 40
          children: 0
          child_breadth: 4
          child_depth: 3
          deadline: 2h
          no_progress: 15m
          on_limit: wrap_up
          wrap_up_tokens: 4k
        loop_guard:
          on_loop: stop
          repeats: 5
          exempt: [wait, browse]
          repeat: {warn: 2}
          same_call: {warn: 12, act: 24, policy: act}
          cycle: {warn: 3, act: 6}
          error: {policy: act}
          stale: {warn: 20}
          request: {policy: warn}
          rate: {act: 100, policy: act}
        retry:
          attempts: 4
          elapsed: 90s
        """;

    private const string Code = "name: a\ncode: a\n";
    private const string Loop = "name: a\nloop: {model: a/b, instructions: x}\n";

    [Fact]
    public void A_full_manifest_is_read_to_the_last_key()
    {
        var manifest = Valid(Full).Manifest;

        Assert.Equal(("licence-inventory.v2_x", 3, null), (manifest.Name, manifest.Version, manifest.Code));
        Assert.Equal(("openai/gpt-5.1-mini", "Read the files.\nWrite a report.\n"), (manifest.Loop!.Model, manifest.Loop.Instructions.TrimEnd('\n') + "\n"));
        Assert.Equal(["shell", "files"], manifest.Loop.Tools);
        Assert.Equal(new SandboxSettings { Isolation = IsolationTier.Hardware, Cpu = 1.5, MemoryBytes = 512L << 20, Pids = 1024, DiskBytes = 2L << 30 }, manifest.Sandbox);
        Assert.Equal(["report.md", "out/data.json"], manifest.Workspace.Artifacts);
        Assert.Equal(WorkspaceKeep.Artifacts, manifest.Workspace.Keep);
        Assert.Equal(new LimitSettings
        {
            NanoUsd = 2_500_000_000,
            Tokens = 200_000,
            InputTokens = 150_000,
            OutputTokens = 50_000,
            ModelCalls = 30,
            Steps = 60,
            ToolCalls = 40,
            Children = 0,
            ChildBreadth = 4,
            ChildDepth = 3,
            Deadline = TimeSpan.FromHours(2),
            NoProgress = TimeSpan.FromMinutes(15),
            OnLimit = LimitPolicy.WrapUp,
            WrapUpTokens = 4_000,
        }, manifest.Limits);
        Assert.Equal(["browse", "wait"], manifest.LoopGuard.Exempt);
        Assert.Equal(new LoopGuardSettings
        {
            OnLoop = LoopPolicy.Stop,
            Repeats = 5,
            Repeat = new(Warn: 2),
            SameCall = new(12, 24, LoopSignalPolicy.Act),
            Cycle = new(3, 6),
            Error = new(Policy: LoopSignalPolicy.Act),
            Stale = new(Warn: 20),
            Request = new(Policy: LoopSignalPolicy.Warn),
            Rate = new(Act: 100, Policy: LoopSignalPolicy.Act),
        }, manifest.LoopGuard with { Exempt = null });
        Assert.Equal(new RetrySettings { Attempts = 4, Elapsed = TimeSpan.FromSeconds(90) }, manifest.Retry);
    }

    [Fact]
    public void What_is_left_out_has_its_default()
    {
        var manifest = Valid(Code).Manifest;

        Assert.Equal(("a", "a", null, null), (manifest.Name, manifest.Code, manifest.Loop, manifest.Version));
        Assert.Equal((new SandboxSettings(), new LimitSettings(), new LoopGuardSettings(), new RetrySettings()), (manifest.Sandbox, manifest.Limits, manifest.LoopGuard, manifest.Retry));
        Assert.Equal((200L, 1_000L, 64L, 8L, 2_048L), (manifest.Limits.Steps, manifest.Limits.Children, manifest.Limits.ChildBreadth, manifest.Limits.ChildDepth, manifest.Limits.WrapUpTokens));
    }

    /// <summary>The manifest, then the line, the key, and words of what was found and what is allowed.</summary>
    public static TheoryData<string, int, string, string, string> Bad => new()
    {
        // The document.
        { "", 1, "", "nothing", "keys and values" },
        { "just text", 1, "", "something else", "keys and values" },
        { "- a\n- b", 1, "", "something else", "keys and values" },
        { $"{Code}---\n{Code}", 1, "", "something else", "one document" },
        { "name: a\ncode: [", 3, "", "not valid YAML", "" },
        { "name: a\n\tcode: a", 1, "", "not valid YAML", "" },
        { "}name: a\n'loop:\n", 1, "", "not valid YAML", "" },
        { "...\nname: a", 1, "", "not valid YAML", "" },
        { "name: a\n? [x]\n: y\ncode: a", 2, "", "a key that is not a word", "words" },

        // Keys.
        { $"{Code}budget: 5", 3, "budget", "unknown key", "name, version, loop, code, sandbox, workspace, limits, loop_guard, retry" },
        { $"{Code}limits:\n  stepps: 5", 4, "limits.stepps", "unknown key", "allowed are usd, tokens, input_tokens, output_tokens, model_calls, steps, tool_calls, children, child_breadth, child_depth, deadline, no_progress, on_limit, wrap_up_tokens" },
        { "name: a\nloop:\n  model: a/b\n  temperature: 1\n  instructions: x", 4, "loop.temperature", "unknown key", "model, instructions, tools" },
        { $"{Code}sandbox: {{network: on}}", 3, "sandbox.network", "unknown key", "isolation, image, cpu, memory, pids, disk, idle_timeout" },
        { $"{Code}sandbox: {{idle_timeout: 500ms}}", 3, "sandbox.idle_timeout", "'500ms'", "1s" },
        { $"{Code}workspace: {{x: 1}}", 3, "workspace.x", "unknown key", "artifacts" },
        { $"{Code}loop_guard: {{x: 1}}", 3, "loop_guard.x", "unknown key", "on_loop, repeats, exempt, repeat, same_call, cycle, error, stale, request, rate, stream" },
        { $"{Code}retry: {{x: 1}}", 3, "retry.x", "unknown key", "attempts, elapsed" },
        { $"{Code}Name: b", 3, "Name", "unknown key", "name" },
        { $"{Code}name: b", 3, "name", "uplicate key", "" },
        { $"{Code}!!str name: b", 3, "name", "uplicate key", "" },
        { $"{Code}limits:\n  steps: 1\n  steps: 2", 5, "steps", "uplicate key", "" },

        // Shapes.
        { "name: [a]\ncode: a", 1, "name", "'a list'", "one value" },
        { "name: {a: b}\ncode: a", 1, "name", "'keys and values'", "one value" },
        { $"{Code}limits: 5", 3, "limits", "'a value'", "keys and values" },
        { $"{Code}limits:", 3, "limits", "'a value'", "keys and values" },
        { $"{Code}limits: [steps]", 3, "limits", "'a list'", "keys and values" },
        { $"{Code}workspace: {{artifacts: report.md}}", 3, "workspace.artifacts", "'a value'", "a list" },
        { $"{Code}workspace:\n  artifacts:\n  - a\n  - {{b: c}}", 6, "workspace.artifacts", "'keys and values'", "a list of words" },

        // Names.
        { "code: a", 1, "name", "'nothing'", "a text" },
        { "name:\ncode: a", 1, "name", "'nothing'", "1 to 100 characters" },
        { $"name: {new string('n', 101)}\ncode: a", 1, "name", "'101 characters'", "1 to 100 characters" },
        { "name: ../etc\ncode: a", 1, "name", "'../etc'", "letters, digits" },
        { "name: a b\ncode: a", 1, "name", "'a b'", "letters, digits" },
        { "name: é\ncode: a", 1, "name", "'é'", "letters, digits" },
        { "name: a", 1, "loop", "'nothing'", "exactly one of loop and code" },
        { "name: a\ncode: a\nloop: {model: a/b, instructions: x}", 2, "code", "'both loop and code'", "exactly one of loop and code" },
        { $"{Code}version: 0", 3, "version", "'0'", "a whole number from 1 to" },
        { $"{Code}version: 1.5", 3, "version", "'1.5'", "a whole number from 1 to" },

        // The loop.
        { "name: a\nloop: {instructions: x}", 2, "loop.model", "'nothing'", "a text" },
        { "name: a\nloop: {model: a/b}", 2, "loop.instructions", "'nothing'", "a text" },
        { "name: a\nloop: {model: gpt, instructions: x}", 2, "loop.model", "'gpt'", "provider/model" },
        { "name: a\nloop: {model: /gpt, instructions: x}", 2, "loop.model", "'/gpt'", "provider/model" },
        { "name: a\nloop: {model: openai/, instructions: x}", 2, "loop.model", "'openai/'", "provider/model" },
        { "name: a\nloop:\n  model: a/b\n  instructions: x\n  tools:\n  - shell\n  - browser", 7, "loop.tools", "'browser'", "shell, files" },
        { "name: a\nloop:\n  model: a/b\n  instructions: x\n  tools:\n  - shell\n  - shell", 7, "loop.tools", "'shell twice'", "each tool once" },
        { $"name: a\nloop: {{model: a/b, instructions: x, tools: [{string.Join(',', Enumerable.Repeat("shell", 65))}]}}", 2, "loop.tools", "'65 items'", "at most 64" },

        // The sandbox.
        { $"{Code}sandbox: {{isolation: none}}", 3, "sandbox.isolation", "'none'", "process, kernel, hardware" },
        { $"{Code}sandbox: {{isolation: emulated}}", 3, "sandbox.isolation", "'emulated'", "process, kernel, hardware" },
        { $"{Code}sandbox: {{isolation: 2}}", 3, "sandbox.isolation", "'2'", "process, kernel, hardware" },
        { $"{Code}sandbox: {{image: /srv/debian}}", 3, "sandbox.image", "'/srv/debian'", "host" },
        { $"{Code}sandbox: {{cpu: 0}}", 3, "sandbox.cpu", "'0'", "a number from 0.1 to 256" },
        { $"{Code}sandbox: {{cpu: NaN}}", 3, "sandbox.cpu", "'NaN'", "a number from 0.1 to 256" },
        { $"{Code}sandbox: {{memory: 512}}", 3, "sandbox.memory", "'512'", "a size from 64 MiB to 1024 GiB" },
        { $"{Code}sandbox: {{memory: 1MiB}}", 3, "sandbox.memory", "'1MiB'", "a size from 64 MiB to 1024 GiB" },
        { $"{Code}sandbox: {{memory: 9223372036854775807GiB}}", 3, "sandbox.memory", "'9223372036854775807GiB'", "a size from" },
        { $"{Code}sandbox: {{pids: 5}}", 3, "sandbox.pids", "'5'", "a whole number from 256 to 32768" },
        { $"{Code}sandbox: {{disk: -1GiB}}", 3, "sandbox.disk", "'-1GiB'", "a size from 16 MiB" },

        // The workspace.
        { $"{Code}workspace:\n  artifacts:\n  - /etc/passwd", 5, "workspace.artifacts", "'/etc/passwd'", "relative to the workspace" },
        { $"{Code}workspace:\n  artifacts:\n  - a/../../b", 5, "workspace.artifacts", "'a/../../b'", "relative to the workspace" },
        { $"{Code}workspace:\n  artifacts:\n  - a//b", 5, "workspace.artifacts", "'a//b'", "relative to the workspace" },
        { $"{Code}workspace:\n  artifacts:\n  - ''", 5, "workspace.artifacts", "''", "relative to the workspace" },
        { $"{Code}workspace: {{keep: some}}", 3, "workspace.keep", "'some'", "all, artifacts, none" },
        { $"{Code}workspace: {{keep: [all]}}", 3, "workspace.keep", "'a list'", "one value" },
        { $"{Code}workspace: {{keep: artifacts}}", 3, "workspace.keep", "'artifacts'", "all or none where workspace.artifacts lists nothing" },
        { $"{Code}workspace: {{artifacts: [{string.Join(',', Enumerable.Range(0, 101))}]}}", 3, "workspace.artifacts", "'101 items'", "at most 100" },

        // The limits.
        { $"{Code}limits: {{tokens: 0}}", 3, "limits.tokens", "'0'", "a whole number from 1" },
        { $"{Code}limits: {{tokens: 1.5k}}", 3, "limits.tokens", "'1.5k'", "200k or 2m" },
        { $"{Code}limits: {{tokens: 9223372036854775807m}}", 3, "limits.tokens", "'9223372036854775807m'", "200k or 2m" },
        { $"{Code}limits: {{steps: -1}}", 3, "limits.steps", "'-1'", "a whole number from 1 to 1000000" },
        { $"{Code}limits: {{steps: many}}", 3, "limits.steps", "'many'", "a whole number from 1 to 1000000" },
        { $"{Code}limits: {{tool_calls: 2m}}", 3, "limits.tool_calls", "'2m'", "a whole number from 1 to 1000000" },
        { $"{Code}limits: {{usd: 0}}", 3, "limits.usd", "'0'", "a positive amount of US dollars" },
        { $"{Code}limits: {{usd: $5}}", 3, "limits.usd", "'$5'", "a positive amount of US dollars" },
        { $"{Code}limits: {{usd: 0.0000000001}}", 3, "limits.usd", "'0.0000000001'", "at most 9 decimals" },
        { $"{Code}limits: {{deadline: 5}}", 3, "limits.deadline", "'5'", "a time from 1s to 365d" },
        { $"{Code}limits: {{deadline: 10ms}}", 3, "limits.deadline", "'10ms'", "a time from 1s to 365d" },
        { $"{Code}limits: {{deadline: 366d}}", 3, "limits.deadline", "'366d'", "a time from 1s to 365d" },
        { $"{Code}limits: {{on_limit: ignore}}", 3, "limits.on_limit", "'ignore'", "pause, stop, wrap_up, ask" },
        { $"{Code}limits: {{input_tokens: 0}}", 3, "limits.input_tokens", "'0'", "a whole number from 1 to 1000000000000" },
        { $"{Code}limits: {{output_tokens: none}}", 3, "limits.output_tokens", "'none'", "a whole number from 1 to 1000000000000" },
        { $"{Code}limits: {{model_calls: 0}}", 3, "limits.model_calls", "'0'", "a whole number from 1 to 1000000" },
        { $"{Code}limits: {{children: -1}}", 3, "limits.children", "'-1'", "a whole number from 0 to 1000000" },
        { $"{Code}limits: {{child_breadth: 0}}", 3, "limits.child_breadth", "'0'", "a whole number from 1 to 1000000" },
        { $"{Code}limits: {{child_depth: 65}}", 3, "limits.child_depth", "'65'", "a whole number from 0 to 64" },
        { $"{Code}limits: {{no_progress: 0s}}", 3, "limits.no_progress", "'0s'", "a time from 1s to 365d" },
        { $"{Code}limits: {{on_limit: wrap_up}}", 3, "limits.on_limit", "'wrap_up'", "pause, stop or ask for an agent in code" },
        { $"{Loop}limits: {{on_limit: wrap_up, wrap_up_tokens: 511}}", 3, "limits.wrap_up_tokens", "'511'", "a whole number from 512 to 1000000" },
        { $"{Loop}limits:\n  on_limit: stop\n  wrap_up_tokens: 4k", 5, "limits.wrap_up_tokens", "'on_limit: stop'", "with on_limit: wrap_up only" },
        { $"{Loop}limits: {{wrap_up_tokens: 4k}}", 3, "limits.wrap_up_tokens", "'on_limit: pause'", "with on_limit: wrap_up only" },

        // The loop guard's signals.
        { $"{Code}loop_guard:\n  same_call: {{warn: 1}}", 4, "loop_guard.same_call.warn", "'1'", "a whole number from 2 to 10000" },
        { $"{Code}loop_guard:\n  same_call: {{act: 20}}", 4, "loop_guard.same_call.act", "'20 with policy: warn'", "act with policy: act only" },
        { $"{Code}loop_guard:\n  repeat: {{act: 4, policy: warn}}", 4, "loop_guard.repeat.act", "'4 with policy: warn'", "act with policy: act only" },
        { $"{Code}loop_guard:\n  cycle: {{warn: 5}}", 4, "loop_guard.cycle.warn", "'5'", "at most 4, where it acts" },
        { $"{Code}loop_guard:\n  repeats: 4\n  repeat: {{warn: 5}}", 5, "loop_guard.repeat.warn", "'5'", "at most 4, where it acts" },
        { $"{Code}loop_guard:\n  repeats: 4\n  repeat: {{act: 5}}", 5, "loop_guard.repeat.act", "'both repeats and repeat.act'", "one of them" },
        { $"{Code}loop_guard:\n  error: {{policy: pause}}", 4, "loop_guard.error.policy", "'pause'", "warn, act" },
        { $"{Code}loop_guard:\n  stale: {{after: 5}}", 4, "loop_guard.stale.after", "unknown key", "warn, act, policy" },
        { $"{Code}loop_guard:\n  request: 5", 4, "loop_guard.request", "'a value'", "keys and values" },
        { $"{Code}loop_guard:\n  rate: {{warn: 10001}}", 4, "loop_guard.rate.warn", "'10001'", "a whole number from 2 to 10000" },
        { $"{Code}loop_guard:\n  repeat: {{act: 1001}}", 4, "loop_guard.repeat.act", "'1001'", "a whole number from 2 to 1000" },
        { $"{Code}loop_guard:\n  exempt:\n  - wait\n  - wait", 6, "loop_guard.exempt", "'wait twice'", "each tool once" },
        { $"{Code}loop_guard:\n  exempt:\n  - ''", 5, "loop_guard.exempt", "''", "1 to 100 characters" },
        { $"{Code}loop_guard: {{exempt: wait}}", 3, "loop_guard.exempt", "'a value'", "a list" },

        // The rest.
        { $"{Code}loop_guard: {{on_loop: never}}", 3, "loop_guard.on_loop", "'never'", "pause, warn, stop" },
        { $"{Code}loop_guard: {{repeats: 1}}", 3, "loop_guard.repeats", "'1'", "a whole number from 2 to 1000" },
        { $"{Code}retry: {{attempts: 0}}", 3, "retry.attempts", "'0'", "a whole number from 1 to 100" },
        { $"{Code}retry: {{elapsed: 8d}}", 3, "retry.elapsed", "'8d'", "a time from 1s to 7d" },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_bad_manifest_is_refused_in_one_line_with_place_cause_and_remedy(string text, int line, string key, string found, string allowed)
    {
        var message = Refusal(text);

        Assert.StartsWith($"agent.yaml:{line}: ", message, StringComparison.Ordinal);
        Assert.Contains(key, message, StringComparison.Ordinal);
        Assert.Contains(found, message, StringComparison.Ordinal);
        Assert.Contains(allowed, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
        Assert.DoesNotContain('\r', message);
        Assert.True(message.Length < 500, message);
    }

    [Theory]
    [InlineData("name: &a x\ncode: *a", 1)]
    [InlineData("name: x\ncode: *a", 2)]
    [InlineData("name: x\ncode: x\nlimits: &l {steps: 1}", 3)]
    [InlineData("&root\nname: x\ncode: x", 1)]
    public void Anchors_and_aliases_are_refused(string text, int line)
    {
        Assert.StartsWith($"agent.yaml:{line}: found an anchor or alias", Refusal(text), StringComparison.Ordinal);
    }

    [Fact]
    public void A_bomb_of_aliases_is_refused_before_it_unfolds()
    {
        var bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + string.Concat(Enumerable.Range('b', 20).Select(c => $"{(char)c}: &{(char)c} [*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)},*{(char)(c - 1)}]\n"));

        Assert.Contains("anchor or alias", Refusal(bomb), StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Huge => new()
    {
        { "nested lists", string.Concat(Enumerable.Repeat("[", 200_000)) },
        { "nested maps", string.Concat(Enumerable.Repeat("{a: ", 60_000)) },
        { "nested lists that close", Code + "x: " + new string('[', 100_000) + new string(']', 100_000) },
        { "nested lists in lines", Code + "x:\n" + string.Concat(Enumerable.Repeat("- ", 100_000)) + "y" },
        { "nested maps in lines", string.Concat(Enumerable.Range(0, 600).Select(i => new string(' ', i) + "a:\n")) },
        { "one long word", Code + new string('x', 250_000) },
        { "many keys", Code + string.Concat(Enumerable.Range(0, 20_000).Select(i => $"k{i}: 1\n")) },
        { "many items", Code + "workspace:\n  artifacts:\n" + string.Concat(Enumerable.Repeat("  - a\n", 30_000)) },
    };

    [Theory]
    [MemberData(nameof(Huge))]
    public void Deep_and_huge_input_is_refused_quickly(string what, string text)
    {
        var watch = Stopwatch.StartNew();

        var message = Refusal(text);

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"{what} took {watch.Elapsed}");
        Assert.True(message.Length < 500, $"{what}: {message.Length} characters");
    }

    [Fact]
    public void What_was_found_is_shown_cut()
    {
        var message = Refusal($"{Code}limits: {{steps: {new string('9', 5_000)}}}");

        Assert.Contains(new string('9', 60) + "…'", message, StringComparison.Ordinal);
        Assert.True(message.Length < 300);
    }

    [Fact]
    public void Any_text_is_read_or_refused_but_never_throws()
    {
        string[] pieces = ["name: a\n", "code: a\n", "loop:\n", "  model: a/b\n", "limits:\n", "  steps: 5\n", "- ", "[", "]", "{", "}", ": ", "? ", "\"", "'", "|\n", ">", "#", "!!str ", "!x ", "%YAML 1.2\n", "---\n", "...\n", "\t", "\n", "\0", "é", "\ud83d", "~", ","];

        Gen.Int[0, pieces.Length - 1].Array[0, 20].Select(picked => string.Concat(picked.Select(i => pieces[i]))).Sample(text => ManifestReader.Read(text, "f") is not null, iter: 20_000);
    }

    [Fact]
    public void Equal_meaning_has_an_equal_hash()
    {
        var hash = Valid(Code).Hash;

        Assert.Equal(hash, Valid("# a comment\ncode:   'a'\n\nname: \"a\"  # another\n").Hash);
        Assert.Equal(hash, Valid("{code: a, name: a}").Hash);
        Assert.Equal(hash, Valid(Code.ReplaceLineEndings("\r\n")).Hash);
        Assert.Equal(hash, Valid(Code + "limits: {steps: 200, on_limit: pause}\nretry: {attempts: 8, elapsed: 15m}\n").Hash);
        Assert.Equal(hash, Valid(Code + "limits: {child_depth: 8, children: 1k, child_breadth: 64}\nloop_guard: {repeat: {warn: 3, act: 8, policy: act}, stale: {warn: 15}, error: {}, exempt: []}\n").Hash);
        Assert.Equal(Valid(Code + "loop_guard: {repeats: 5}").Hash, Valid(Code + "loop_guard: {repeat: {act: 5}}").Hash);
        Assert.Equal(Valid(Code + "loop_guard: {exempt: [a, b]}").Hash, Valid(Code + "loop_guard: {exempt: [b, a]}").Hash);
        Assert.Equal(Valid(Code + "limits: {tokens: 2k}").Hash, Valid(Code + "limits: {tokens: 2000}").Hash);
    }

    /// <summary>A run's manifest comes back from its journal as it went in, enums as words.</summary>
    [Fact]
    public void A_manifest_survives_its_journal()
    {
        var manifest = Valid(Full).Manifest;

        var json = JsonSerializer.Serialize(manifest, JournalJson.Default.Options.GetTypeInfo(typeof(AgentManifest)));
        var again = (AgentManifest)JsonSerializer.Deserialize(json, JournalJson.Default.Options.GetTypeInfo(typeof(AgentManifest)))!;

        Assert.Contains("\"on_limit\":\"wrap_up\"", json, StringComparison.Ordinal);
        Assert.Contains("\"error\":{\"policy\":\"act\"}", json, StringComparison.Ordinal);
        Assert.Equal(manifest.Limits, again.Limits);
        Assert.Equal(manifest.LoopGuard with { Exempt = null }, again.LoopGuard with { Exempt = null });
        Assert.Equal(manifest.LoopGuard.Exempt, again.LoopGuard.Exempt);
    }

    /// <summary>As a journal has it that was written before these limits were: what is missing there is no cap, whatever a new manifest's default.</summary>
    [Fact]
    public void A_manifest_of_an_older_journal_gets_no_new_caps_and_the_guards_defaults()
    {
        const string json = """{"name":"a","code":"a","sandbox":{"isolation":"kernel","cpu":1,"memory_bytes":536870912,"pids":512,"disk_bytes":1073741824},"workspace":{"artifacts":[]},"limits":{"steps":60,"on_limit":"pause"},"loop_guard":{"on_loop":"pause","repeats":8},"retry":{"attempts":8,"elapsed":"00:15:00"}}""";

        var manifest = (AgentManifest)JsonSerializer.Deserialize(json, JournalJson.Default.Options.GetTypeInfo(typeof(AgentManifest)))!;

        Assert.Equal(new LimitSettings { Steps = 60, Children = null, ChildBreadth = null, ChildDepth = null, WrapUpTokens = 0 }, manifest.Limits);
        Assert.Equal(new LoopGuardSettings(), manifest.LoopGuard);
        Assert.Equal(LoopThresholds.Default, LoopThresholds.Of(manifest.LoopGuard));
    }

    [Fact]
    public void Another_meaning_has_another_hash()
    {
        string[] others = ["name: b\ncode: a", "name: a\ncode: b", Code + "version: 1", Code + "limits: {steps: 201}", Code + "workspace: {artifacts: [a]}", Code + "workspace: {artifacts: [a], keep: artifacts}", Code + "workspace: {keep: none}", Code + "retry: {attempts: 7}",
            Code + "limits: {no_progress: 1m}", Code + "loop_guard: {exempt: [a]}", Code + "loop_guard: {rate: {warn: 61}}", Code + "loop_guard: {stream: {warn: 7}}", Code + "sandbox: {idle_timeout: 10m}", Code + "loop_guard: {rate: {policy: act}}"];

        Assert.Equal(Valid(Code).Hash, Valid(Code + "workspace: {keep: all}").Hash);
        Assert.Equal(others.Length + 1, others.Append(Code).Select(text => Valid(text).Hash).Distinct().Count());
    }

    private static ManifestOutcome.Valid Valid(string text) => ManifestReader.Read(text, "agent.yaml") switch
    {
        ManifestOutcome.Valid valid => valid,
        ManifestOutcome.Invalid invalid => throw new Xunit.Sdk.XunitException(invalid.Problem.Message),
        _ => throw new InvalidOperationException(),
    };

    private static string Refusal(string text)
    {
        var problem = Assert.IsType<ManifestOutcome.Invalid>(ManifestReader.Read(text, "agent.yaml")).Problem;
        Assert.Equal(ErrorCodes.ManifestInvalid, problem.Code);
        return problem.Message;
    }
}
