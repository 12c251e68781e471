using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Loops;

namespace Caisson.Core.Processes;

/// <param name="Signature">Hash of tool and canonical arguments.</param>
/// <param name="Result">Hash of what came back.</param>
public sealed record ConversationTurn(string Tool, string Signature, string Result, bool Failed);

/// <summary>What one request of a program tells of its conversation.</summary>
/// <param name="Conversation">The same for all requests of one conversation.</param>
/// <param name="Request">Hash of the request.</param>
/// <param name="Turns">Its tool calls that have a result, oldest first; of long ones the last.</param>
public sealed record ConversationSeen(string Conversation, string Request, IReadOnlyList<ConversationTurn> Turns);

/// <summary>
/// The loop guard of a program that runs its own tools.
/// <para>
/// Problem: nobody here sees its tools run, but each request to the model tells the conversation so far. States of a
/// conversation: what is known of it, and the guard that was fed with that. Invariants: each turn is fed once, in order,
/// however often requests repeat it, also when a restarted program tells everything from its beginning; only requests
/// that are not answered from the journal act, for a replay must come to where it was; what an operator resumed starts
/// every count again. Memory is bounded: the conversation that was silent for longest is forgotten. When this process
/// dies the next one is fed by the replay.
/// </para>
/// </summary>
internal sealed class ProcessLoops(RunSession session)
{
    private const int MostConversations = 256;
    private const int MostTurns = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Known> _known = new(StringComparer.Ordinal);
    private long _tick;
    private long _reset;

    /// <returns>The worst that these turns came to; of a recorded request nothing.</returns>
    internal LoopVerdict Observe(ConversationSeen seen, bool recorded, DateTimeOffset at)
    {
        lock (_lock)
        {
            var isAnew = !recorded && session.History.LoopResets is [.., var reset] && reset > _reset;
            if (isAnew)
            {
                // What this request tells happened before somebody looked at it.
                _reset = session.History.LoopResets[^1];
                foreach (var one in _known.Values)
                    one.Guard.Reset();
            }

            var known = Of(seen.Conversation);
            known.Guard.RepeatsToAct = session.LoopRepeats;
            var worst = LoopVerdict.None;
            foreach (var turn in Fresh(known.Turns, seen.Turns))
            {
                known.Turns.Add(turn);
                if (!isAnew)
                    Take(known.Guard.Observe(turn.Tool, turn.Signature, turn.Result, turn.Failed, null, at));
            }

            known.Turns.RemoveRange(0, Math.Max(0, known.Turns.Count - MostTurns));
            if (recorded)
                return LoopVerdict.None;
            Take(known.Guard.ObserveRequest(seen.Request, at));
            return worst;

            void Take(LoopVerdict verdict) => worst = verdict.Level > worst.Level ? verdict : worst;
        }
    }

    internal static EntryDraft Suspected(LoopVerdict verdict) =>
        new(EntryKind.LoopSuspected, new EntryBody.LoopSuspected(verdict.Signal, verdict.Tool, verdict.Count, verdict.Period, Acted: false));

    /// <summary>What of the told turns lies beyond those that are known: the longest end of the known ones that the told ones begin with is old.</summary>
    internal static IEnumerable<ConversationTurn> Fresh(IReadOnlyList<ConversationTurn> known, IReadOnlyList<ConversationTurn> told)
    {
        for (var old = Math.Min(known.Count, told.Count); old > 0; old--)
        {
            if (Enumerable.Range(0, old).All(i => known[known.Count - old + i] == told[i]))
                return told.Skip(old);
        }

        // Told from the beginning by a program that began anew: not one turn more than was known.
        return told.Count <= known.Count && Enumerable.Range(0, known.Count - told.Count + 1).Any(from => told.Index().All(t => known[from + t.Index] == t.Item)) ? [] : told;
    }

    private Known Of(string conversation)
    {
        if (!_known.TryGetValue(conversation, out var known))
        {
            if (_known.Count == MostConversations)
                _known.Remove(_known.MinBy(entry => entry.Value.Last).Key);
            _known[conversation] = known = new Known(new LoopGuard(LoopThresholds.Of(session.Manifest.LoopGuard, session.History.Raised.LoopRepeats)));
        }

        known.Last = ++_tick;
        return known;
    }

    private sealed class Known(LoopGuard guard)
    {
        internal LoopGuard Guard => guard;

        internal List<ConversationTurn> Turns { get; } = [];

        internal long Last { get; set; }
    }
}
