using System.Globalization;
using System.Text;
using Caisson.MockModel.Scripts;
using Caisson.MockModel.Wire;

namespace Caisson.MockModel;

/// <summary>A reply filled in for one conversation. The same request always gives the same answer, byte for byte.</summary>
/// <param name="Usage"><c>null</c>: the script leaves it out.</param>
internal sealed record MockAnswer(Conversation Asked, long Turn, string Say, IReadOnlyList<MockCall> Calls, MockUsage? Usage)
{
    /// <summary>An answer that only calls has no text at all, rather than an empty one.</summary>
    public bool HasText => Say.Length > 0 || Calls.Count == 0;

    /// <param name="idPrefix">Of the calls to which the script gives no id; <c>null</c>: they have none.</param>
    public static MockAnswer Make(Reply reply, Conversation conversation, string? idPrefix, long turn, long iteration)
    {
        var say = Template.Fill(reply.Say, turn, iteration, conversation.Input);
        var calls = reply.Calls.Select((call, index) => new MockCall(
            call.Id ?? (idPrefix is null ? null : string.Create(CultureInfo.InvariantCulture, $"{idPrefix}_{turn}_{index + 1}")),
            call.Name,
            Template.Fill(call.Arguments, turn, iteration, conversation.Input, call.IsJson))).ToArray();
        var outputBytes = Encoding.UTF8.GetByteCount(say) + calls.Sum(c => (long)Encoding.UTF8.GetByteCount(c.Name) + Encoding.UTF8.GetByteCount(c.Arguments));
        // A vector is no text, and nobody bills it.
        var outputTokens = conversation.Wire == WireNames.Embeddings ? 0 : Tokens.Count(outputBytes);
        var usage = reply.Usage.Omit ? null : MockUsage.Make(reply.Usage, conversation.InputTokens, outputTokens);
        return new MockAnswer(conversation, turn, say, calls, usage);
    }
}

internal sealed record MockCall(string? Id, string Name, string Arguments);

/// <param name="Input">All of it: also what was read from the provider's cache, and what was written into it.</param>
/// <param name="Output">All of it: also the reasoning.</param>
internal sealed record MockUsage(long Input, long Output, long Cached, long Written, long Reasoning, long Total)
{
    public static MockUsage Make(ScriptedUsage scripted, long inputTokens, long outputTokens)
    {
        var (input, output) = (scripted.Input ?? inputTokens, scripted.Output ?? outputTokens);
        var cached = Math.Min(input, scripted.Cached ?? 0);
        return new MockUsage(
            input,
            output,
            cached,
            Math.Min(input - cached, scripted.Written ?? 0),
            Math.Min(output, scripted.Reasoning ?? 0),
            scripted.Total ?? input + output);
    }
}
