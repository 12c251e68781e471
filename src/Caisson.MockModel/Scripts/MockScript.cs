using Caisson.MockModel.Wire;

namespace Caisson.MockModel.Scripts;

/// <summary>What a mock model answers. docs/mock-model.md describes the format.</summary>
public sealed class MockScript
{
    internal MockScript(IReadOnlyList<Script> scripts) => Scripts = scripts;

    internal IReadOnlyList<Script> Scripts { get; }

    /// <summary>The models that are named in the file, in its order.</summary>
    internal IEnumerable<string> Models => Scripts.SelectMany(s => s.Match.Models).Distinct(StringComparer.Ordinal);

    /// <param name="fileName">For messages only.</param>
    public static MockScriptOutcome Parse(string text, string fileName)
    {
        try
        {
            return new MockScriptOutcome.Parsed(new ScriptReader(fileName).Read(text));
        }
        catch (ScriptException e)
        {
            return new MockScriptOutcome.Refused(e.Message);
        }
    }

    /// <summary>Whether some script answers for this model, by its name or because it takes any.</summary>
    internal bool Knows(string model) => Scripts.Any(s => s.Match.Models.Count == 0 || s.Match.Models.Contains(model, StringComparer.Ordinal));

    /// <summary>The first script that takes this conversation.</summary>
    /// <param name="number">The request's, among all that have come.</param>
    internal Script? For(Conversation conversation, long number) => Scripts.FirstOrDefault(s => s.Match.Takes(conversation, number));
}

public abstract record MockScriptOutcome
{
    public sealed record Parsed(MockScript Script) : MockScriptOutcome;

    /// <param name="Message">One line: file, line, key, what was found, what is allowed.</param>
    public sealed record Refused(string Message) : MockScriptOutcome;
}

internal sealed record Script(ScriptMatch Match, IReadOnlyList<Turn> Turns)
{
    /// <summary>The reply at this place of the script, counted from 0, and the number of its repetition, from 1.</summary>
    public (Reply Reply, long Iteration)? At(long index) => Turn.At(Turns, index, 1);
}

/// <summary>Which requests a script is for. An empty condition takes all; texts match by containing.</summary>
internal sealed record ScriptMatch(
    IReadOnlyList<string> Models,
    IReadOnlyList<string> Wires,
    string? System = null,
    string? Input = null,
    string? Last = null,
    string? Tool = null,
    long? Request = null)
{
    public bool Takes(Conversation conversation, long number) =>
        (Models.Count == 0 || Models.Contains(conversation.Model, StringComparer.Ordinal))
        && TakesWire(conversation.Wire)
        && Contains(conversation.System, System)
        && Contains(conversation.Input, Input)
        && Contains(conversation.Last, Last)
        && Contains(conversation.Tool, Tool)
        && (Request is null || Request == number);

    // A script is a conversation, and embeddings are none: they meet only a script that is made for them.
    private bool TakesWire(string wire) => Wires.Count == 0 ? wire != WireNames.Embeddings : Wires.Contains(wire, StringComparer.Ordinal);

    private static bool Contains(string text, string? part) => part is null || text.Contains(part, StringComparison.Ordinal);
}

/// <summary>One reply or a group of turns, played <paramref name="Repeat"/> times.</summary>
internal sealed record Turn(long Repeat, Reply? Reply, IReadOnlyList<Turn> Group)
{
    public const long Forever = long.MaxValue;

    private long Once => Reply is not null ? 1 : Sum(Group);

    private long Length => Once != 0 && Repeat > Forever / Once ? Forever : Repeat * Once;

    public static (Reply, long)? At(IReadOnlyList<Turn> turns, long index, long outerIteration)
    {
        foreach (var turn in turns)
        {
            if (index >= turn.Length)
            {
                index -= turn.Length;
                continue;
            }

            // A turn that does not repeat itself counts with the group around it.
            var iteration = turn.Repeat == 1 ? outerIteration : index / turn.Once + 1;
            return turn.Reply is { } reply ? (reply, iteration) : At(turn.Group, index % turn.Once, iteration);
        }

        return null;
    }

    private static long Sum(IReadOnlyList<Turn> turns) =>
        turns.Aggregate(0L, (sum, turn) => turn.Length > Forever - sum ? Forever : sum + turn.Length);
}

/// <param name="Pace">The time between two pieces of a stream.</param>
internal sealed record Reply(string Say, IReadOnlyList<ScriptedCall> Calls, TimeSpan Delay, TimeSpan Pace, IReadOnlyList<Fault> Faults, ScriptedUsage Usage)
{
    /// <summary>What goes wrong when this reply is asked for the n-th time, counted from 0.</summary>
    public Fault? FaultAt(long asked)
    {
        foreach (var fault in Faults)
        {
            if (asked < fault.Times)
                return fault;
            asked -= fault.Times;
        }

        return null;
    }
}

/// <param name="IsJson">The arguments were written as a YAML map: what is filled in is escaped.</param>
internal sealed record ScriptedCall(string? Id, string Name, string Arguments, bool IsJson);

/// <summary>The figures to report; one that is <c>null</c> is counted.</summary>
/// <param name="Omit">No figures at all.</param>
internal sealed record ScriptedUsage(bool Omit, long? Input, long? Output, long? Cached, long? Written, long? Reasoning, long? Total)
{
    public static ScriptedUsage Counted { get; } = new(false, null, null, null, null, null, null);
}
