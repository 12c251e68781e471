using System.Text;
using Caisson.MockModel.Scripts;

namespace Caisson.MockModel;

/// <summary>A reply filled in for one conversation. The same request always gives the same answer, byte for byte.</summary>
/// <param name="Usage"><c>null</c>: the script leaves it out.</param>
internal sealed record MockAnswer(string Id, string Model, string Say, IReadOnlyList<MockCall> Calls, MockUsage? Usage)
{
    public string FinishReason => Calls.Count > 0 ? "tool_calls" : "stop";

    public static MockAnswer Make(Reply reply, Conversation conversation, long turn, long iteration)
    {
        var say = Template.Fill(reply.Say, turn, iteration, conversation.Input);
        var calls = reply.Calls.Select((call, index) => new MockCall(
            call.Id ?? $"call_{turn}_{index + 1}",
            call.Name,
            Template.Fill(call.Arguments, turn, iteration, conversation.Input, call.IsJson))).ToArray();
        var outputBytes = Encoding.UTF8.GetByteCount(say) + calls.Sum(c => (long)Encoding.UTF8.GetByteCount(c.Name) + Encoding.UTF8.GetByteCount(c.Arguments));
        var input = reply.Usage.Input ?? conversation.InputTokens;
        var usage = reply.Usage.Omit
            ? null
            : new MockUsage(input, reply.Usage.Output ?? Tokens.Count(outputBytes), Math.Min(input, reply.Usage.Cached ?? 0));
        return new MockAnswer($"chatcmpl-mock-{conversation.Hash[..16]}", conversation.Model, say, calls, usage);
    }
}

internal sealed record MockCall(string Id, string Name, string Arguments);

internal sealed record MockUsage(long Input, long Output, long Cached);
