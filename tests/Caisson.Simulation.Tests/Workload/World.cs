using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.InMemory;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Workload;

/// <summary>What steps have done outside, kept where no crash reaches it; and what each agent saw, to hold every replay against it.</summary>
internal sealed class World(SimLoop loop, MemoryStore store)
{
    private readonly Dictionary<string, Effect> _effects = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _seen = new(StringComparer.Ordinal);
    private readonly Dictionary<SimProcess, NodeId> _nodes = [];

    private sealed class Effect
    {
        /// <summary>How often the step's body began.</summary>
        internal int Begun { get; set; }
        internal int Happened { get; set; }

        /// <summary>People who said that it had not happened.</summary>
        internal int Denied { get; set; }

        /// <summary>The highest ownership that the receiver has heard of.</summary>
        internal long Epoch { get; set; }
        internal int Failed { get; set; }
    }

    internal void Registered(SimProcess process, NodeId node) => _nodes[process] = node;

    internal void Begin(SimProcess process, StepContext step, Op.Step op)
    {
        var effect = Of(step.IdempotencyKey);
        effect.Begun++;
        if (step.Attempt <= op.Fails)
            effect.Failed++;
        loop.Note((ulong)effect.Begun);
        if (!store.Snapshot().IsAlive(_nodes[process]))
            loop.Fail("promise 3", $"{process.Name} begins step {op.Path} of {step.IdempotencyKey}, and others hold it for dead");
    }

    /// <summary>The effect itself.</summary>
    /// <param name="fenced">Whether the receiver refuses an owner of the past.</param>
    internal void Act(StepContext step, Op.Step op, bool fenced)
    {
        var effect = Of(step.IdempotencyKey);
        if (fenced && step.Epoch < effect.Epoch)
            throw new InvalidOperationException("this owner is of the past");
        effect.Epoch = Math.Max(effect.Epoch, step.Epoch);
        effect.Happened++;
        var once = op.Flavour is not (Flavour.Idempotent or Flavour.Read);
        if (once && effect.Happened > 1 + effect.Denied)
            loop.Fail("I3", $"{op.Flavour} {op.Path} of {step.IdempotencyKey} happened {effect.Happened} times, and {effect.Denied} times somebody said that it had not");
    }

    internal string ResultOf(StepContext step, Op.Step op) =>
        string.Create(CultureInfo.InvariantCulture, $"{op.Path} {Of(step.IdempotencyKey).Begun} {new string('x', op.Bytes)}");

    internal EffectCheck<string> Verify(StepContext step)
    {
        var effect = Of(step.IdempotencyKey);
        effect.Epoch = Math.Max(effect.Epoch, step.Epoch);
        return effect.Happened > 0 ? new EffectCheck<string>(EffectState.Done, "verified") : new EffectCheck<string>(EffectState.NotDone);
    }

    internal void Undo(StepContext step)
    {
        var effect = Of(step.IdempotencyKey);
        effect.Epoch = Math.Max(effect.Epoch, step.Epoch);
        effect.Happened = 0;
    }

    /// <summary>What a person finds who looks; and from there on it may happen once more.</summary>
    internal bool Look(RunId run, string key)
    {
        var effect = Of($"{run}.{key}");
        if (effect.Happened > 0)
            return true;
        effect.Denied++;
        return false;
    }

    /// <summary>An agent's answers are durable before it gets them: whoever died since, they are the same.</summary>
    internal void Observe(RunId run, string path, string value)
    {
        var place = $"{run} {path}";
        if (!_seen.TryAdd(place, value) && _seen[place] != value)
            loop.Fail("I6", $"run {place} saw '{_seen[place]}', and now sees '{value}'");
    }

    /// <summary>How often a step that may be repeated was begun beyond once: each time some owner must have ended, or the step have failed.</summary>
    internal void CheckRepeats(MemoryState state)
    {
        foreach (var (key, effect) in _effects)
        {
            if (state.Find(RunId.Parse(key[..key.IndexOf('.', StringComparison.Ordinal)])) is { } run && effect.Begun > run.Record.Epoch + effect.Failed)
                loop.Fail("I3", $"step {key} began {effect.Begun} times, failed {effect.Failed} times, in {run.Record.Epoch} ownerships");
        }
    }

    private Effect Of(string key)
    {
        if (!_effects.TryGetValue(key, out var effect))
            _effects[key] = effect = new Effect();
        return effect;
    }
}
