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

    /// <summary>The first script that takes this conversation.</summary>
    internal Script? For(Conversation conversation) => Scripts.FirstOrDefault(s => s.Match.Takes(conversation));
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

/// <summary>Which conversations a script is for. An empty condition takes all; texts match by containing.</summary>
internal sealed record ScriptMatch(IReadOnlyList<string> Models, string? System, string? Input, string? Last)
{
    public bool Takes(Conversation conversation) =>
        (Models.Count == 0 || Models.Contains(conversation.Model, StringComparer.Ordinal))
        && Contains(conversation.System, System)
        && Contains(conversation.Input, Input)
        && Contains(conversation.Last, Last);

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

internal sealed record Reply(string Say, IReadOnlyList<ScriptedCall> Calls, TimeSpan Delay, IReadOnlyList<Fault> Faults, ScriptedUsage Usage)
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

internal sealed record ScriptedUsage(bool Omit, long? Input, long? Output, long? Cached);

internal abstract record Fault(long Times)
{
    public sealed record Status(long Times, int Code, double? RetryAfter, string Message) : Fault(Times);

    /// <summary>The answer's first half, then the connection is closed.</summary>
    public sealed record Cut(long Times) : Fault(Times);

    /// <summary>No answer at all, until the client goes.</summary>
    public sealed record Hang(long Times) : Fault(Times);

    /// <param name="Body">Sent with status 200; <c>null</c>: the right answer's first half.</param>
    public sealed record Malformed(long Times, string? Body) : Fault(Times);
}
