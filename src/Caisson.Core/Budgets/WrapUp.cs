using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;

namespace Caisson.Core.Budgets;

/// <summary>
/// The last call of a loop agent whose policy at a limit is <c>wrap_up</c>.
/// <para>
/// Problem: at a limit the model still holds what it found out, and a run that just stops has paid for it and shows
/// nothing. So it gets one more call to say it. Order: a step is denied → the tool calls that were not made get
/// <see cref="NotRun"/> as their result, so that the conversation is whole → one model call with <see cref="Note"/>
/// and without tools → its text is the run's result, and calls that it asks for all the same are not made.
/// </para>
/// <para>
/// Where the room comes from: all other steps are admitted up to <see cref="WrapUpReserve.Admission"/>, this call up to
/// the cap itself. It is an ordinary step (reserved, journaled, settled), its identity that of the conversation plus
/// <see cref="Identity"/>. Invariants: it is made at most once for a limit; no cap is passed by it. Should it be denied
/// as well, even cut to <see cref="Fit"/>, the run pauses; a raise then lets the work go on. The denial is journaled as the
/// answer of the step that it denied, so if the server dies the next owner's replay is told the same, and finds the
/// call recorded or makes it.
/// </para>
/// </summary>
internal static class WrapUp
{
    internal const string Identity = "wrap_up";
    internal const string NotRun = "[caisson: not run, a limit of this run is reached]";

    /// <summary>Below this an answer is cut off before it says anything.</summary>
    internal const int UsefulOutput = 256;

    // What wires and providers put around a request, its tools and each message, beside the text.
    private const int AroundCall = 256;
    private const int AroundTools = 640;
    private const int AroundMessage = 96;
    private const string Left = "[caisson: the conversation was too long for what is left, this is its last part]\n";

    internal static string Note(LimitDenial denial) =>
        $"[caisson: this run has reached its limit of {Words.Of(denial.Dimension).Replace('_', ' ').Replace("nano usd", "money", StringComparison.Ordinal)}. No more tools can be called. Give your final answer now: what you found or did, and what is missing.]";

    /// <summary>
    /// The conversation and the answer's bound, such that both surely fit into what is left. The whole conversation
    /// where it fits; else the instructions, the input and the end of the rest as plain text, which no wire refuses
    /// for calls without their tools. <c>null</c> where not even that fits.
    /// </summary>
    /// <param name="tools">Some wires want them beside a conversation in which they were called, with the choice of none.</param>
    /// <param name="room">Tokens that are left for this call.</param>
    /// <param name="reserve">The answer takes no more.</param>
    internal static WrapUpCall? Fit(IReadOnlyList<ModelMessage> messages, IReadOnlyList<ToolDefinition> tools, string note, long room, long reserve)
    {
        var output = Math.Min(reserve, room / 2);
        if (output < UsefulOutput)
            return null;
        var input = room - output - AroundCall - Size(note) - AroundMessage;
        var maxOutput = (int)Math.Min(output, int.MaxValue);
        if (messages.Sum(Size) + Size(tools) <= input)
            return new WrapUpCall(messages, tools, maxOutput);

        var head = messages.Take(2).ToList();
        var left = input - head.Sum(Size) - AroundMessage - Size(Left);
        var rest = new List<string>();
        foreach (var message in messages.Skip(2).Reverse())
        {
            var text = $"{Words.Of(message.Role)}: {message.Text}\n";
            if (Size(text) > left)
            {
                rest.Add(End(text, left));
                break;
            }

            left -= Size(text);
            rest.Add(text);
        }

        rest.Reverse();
        var tail = string.Concat(rest);
        return left < 0 || tail.Length == 0 ? null : new WrapUpCall([.. head, ModelMessage.User(Left + tail)], [], maxOutput);
    }

    private static long Size(IReadOnlyList<ToolDefinition> tools) =>
        tools.Count == 0 ? 0 : AroundTools + tools.Sum(tool => AroundMessage + Size(tool.Name) + Size(tool.Description) + Size(tool.Schema));

    private static long Size(ModelMessage message) =>
        AroundMessage + Size(message.Text) + (message.CallId is { } id ? Size(id) : 0) + message.Calls.Sum(call => AroundMessage + Size(call.Id) + Size(call.Name) + Size(call.Arguments));

    /// <summary>Bytes within a JSON string, at most: a token has at least one.</summary>
    private static long Size(string text)
    {
        long size = 0;
        foreach (var c in text)
            size += Size(c);
        return size;
    }

    private static int Size(char c) => c is '"' or '\\' or '\n' or '\r' or '\t' ? 2 : c is < ' ' or > '~' ? 6 : 1;

    /// <summary>As much of the text's end as fits, without half a character.</summary>
    private static string End(string text, long room)
    {
        var start = text.Length;
        while (start > 0 && room - Size(text[start - 1]) >= 0)
            room -= Size(text[--start]);
        if (start < text.Length && char.IsLowSurrogate(text[start]))
            start++;
        return text[start..];
    }
}

/// <param name="Tools">Named to the provider, and not to be called; none where the conversation was cut.</param>
internal sealed record WrapUpCall(IReadOnlyList<ModelMessage> Messages, IReadOnlyList<ToolDefinition> Tools, int MaxOutputTokens);

/// <summary>What is kept back of a run's own caps for its last call; nothing under any other policy.</summary>
/// <param name="Tokens">Input and output of that call together.</param>
/// <param name="NanoUsd">What so many tokens cost at most.</param>
internal sealed record WrapUpReserve(long Tokens, long NanoUsd)
{
    private static readonly WrapUpReserve None = new(0, 0);

    private long Calls => Tokens > 0 ? 1 : 0;

    /// <param name="cost">The bound of what the tokens cost, at the model's dearest rate; 0 for a model without a price, which no cap on money admits.</param>
    internal static WrapUpReserve Of(LimitSettings limits, long cost) =>
        limits.OnLimit == LimitPolicy.WrapUp ? new WrapUpReserve(limits.WrapUpTokens, cost) : None;

    /// <summary>The cap that everything but the last call is admitted under. At least half of a cap is for the work.</summary>
    internal long? Admission(LimitDimension dimension, long? cap) => cap - Math.Min(Kept(dimension), cap / 2 ?? 0);

    /// <summary>Tokens that the last call may use, the reserve included.</summary>
    /// <param name="denial">Of the step before it, against the cap of <see cref="Admission"/>.</param>
    /// <param name="cap">The cap itself.</param>
    internal long Room(LimitDenial denial, long cap) => denial.Dimension switch
    {
        LimitDimension.Tokens or LimitDimension.InputTokens or LimitDimension.OutputTokens => Left(denial, cap),

        // As many tokens as the money buys at the rate that the reserve was priced with.
        LimitDimension.NanoUsd when NanoUsd > 0 => (long)Int128.Min(long.MaxValue, (Int128)Left(denial, cap) * Tokens / NanoUsd),
        _ => long.MaxValue,
    };

    private long Kept(LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => NanoUsd,
        LimitDimension.Tokens or LimitDimension.InputTokens or LimitDimension.OutputTokens => Tokens,
        LimitDimension.Steps or LimitDimension.ModelCalls => Calls,
        _ => 0,
    };

    private static long Left(LimitDenial denial, long cap) => (long)Int128.Max(Int128.Zero, (Int128)cap - denial.Spent - denial.Held);
}
