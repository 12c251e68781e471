using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using CsCheck;

namespace Caisson.Core.Tests.Budgets;

public sealed class WrapUpTests
{
    private const string Own = "run:own";
    private static readonly LimitSettings Limits = new() { OnLimit = LimitPolicy.WrapUp };
    private static readonly WrapUpReserve Reserve = WrapUpReserve.Of(Limits, cost: 5_000);

    private static readonly IReadOnlyList<ModelMessage> Talk =
    [
        ModelMessage.System("You list licences."),
        ModelMessage.User("List them."),
        ModelMessage.Assistant(new ModelAnswer("I look.", [new ToolCall("c1", "shell", """{"command":"ls"}""")], "tool_calls", "m", null)),
        ModelMessage.Tool("c1", "LICENSE\nNOTICE\n"),
    ];

    private static readonly JsonSerializerOptions AsSent = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string Awkward = "\"\\\n\u0001é\ud83d\ude00a";
    private static readonly LimitDimension[] TokenDimensions = [LimitDimension.Tokens, LimitDimension.InputTokens, LimitDimension.OutputTokens];

    private static readonly IReadOnlyList<ToolDefinition> Tools = [new("shell", "Runs a command.", """{"type":"object"}""")];

    [Theory]
    [InlineData(LimitDimension.Tokens, 10_000, 7_952)]
    [InlineData(LimitDimension.InputTokens, 10_000, 7_952)]
    [InlineData(LimitDimension.OutputTokens, 10_000, 7_952)]
    [InlineData(LimitDimension.NanoUsd, 100_000, 95_000)]
    [InlineData(LimitDimension.Steps, 60, 59)]
    [InlineData(LimitDimension.ModelCalls, 30, 29)]
    [InlineData(LimitDimension.ToolCalls, 30, 30)]
    [InlineData(LimitDimension.Children, 4, 4)]
    [InlineData(LimitDimension.Deadline, 1_000, 1_000)]
    public void The_work_is_admitted_up_to_the_cap_less_the_reserve(LimitDimension dimension, long cap, long admission)
    {
        Assert.Equal(admission, Reserve.Admission(dimension, cap));
        Assert.Null(Reserve.Admission(dimension, null));
    }

    [Theory]
    [InlineData(3_000, 1_500)]
    [InlineData(4_096, 2_048)]
    [InlineData(1, 1)]
    public void Half_of_a_cap_is_for_the_work_however_large_the_reserve(long cap, long admission)
    {
        Assert.Equal(admission, Reserve.Admission(LimitDimension.Tokens, cap));
        Assert.Equal(1, Reserve.Admission(LimitDimension.Steps, 1));
    }

    [Theory]
    [InlineData(LimitPolicy.Pause)]
    [InlineData(LimitPolicy.Stop)]
    [InlineData(LimitPolicy.Ask)]
    public void Under_any_other_policy_nothing_is_kept_back(LimitPolicy policy)
    {
        var none = WrapUpReserve.Of(new LimitSettings { OnLimit = policy }, 5_000);

        foreach (var dimension in Enum.GetValues<LimitDimension>())
            Assert.Equal(1_000, none.Admission(dimension, 1_000));
    }

    [Fact]
    public void The_last_call_has_what_the_work_left_and_the_reserve()
    {
        Assert.Equal(2_048 + 52, Reserve.Room(new LimitDenial(Own, LimitDimension.Tokens, 7_952, 7_000, 900, 500), cap: 10_000));
        Assert.Equal(0, Reserve.Room(new LimitDenial(Own, LimitDimension.Tokens, 7_952, 11_000, 0, 500), cap: 10_000));

        // 5,000 nano-USD buy 2,048 tokens, so 10,000 buy twice as many.
        Assert.Equal(4_096, Reserve.Room(new LimitDenial(Own, LimitDimension.NanoUsd, 95_000, 90_000, 0, 50_000), cap: 100_000));
        Assert.Equal(long.MaxValue, Reserve.Room(new LimitDenial(Own, LimitDimension.Steps, 59, 59, 0, 1), cap: 60));
    }

    /// <summary>The reason for the reserve: whatever the work used under its own cap, the reserve is still there.</summary>
    [Fact]
    public void After_any_denial_the_reserve_is_left()
    {
        Gen.Select(Gen.Long[2, 1_000_000_000], Gen.Long[1, 1_000_000], Gen.Double[0, 1], Gen.Int[0, 2].Select(i => TokenDimensions[i])).Sample((cap, tokens, part, dimension) =>
        {
            var reserve = WrapUpReserve.Of(Limits with { WrapUpTokens = tokens }, 1);
            var admission = reserve.Admission(dimension, cap)!.Value;
            var spent = (long)(admission * part);
            var room = reserve.Room(new LimitDenial(Own, dimension, admission, spent, 0, admission), cap);
            return admission >= cap / 2 && room >= Math.Min(tokens, cap / 2) && spent + room <= cap;
        });
    }

    [Fact]
    public void The_whole_conversation_is_sent_where_it_fits()
    {
        var call = WrapUp.Fit(Talk, Tools, Note, room: 10_000, reserve: 2_048);

        Assert.Same(Talk, call!.Messages);
        Assert.Same(Tools, call.Tools);
        Assert.Equal(2_048, call.MaxOutputTokens);
    }

    [Fact]
    public void Else_its_beginning_and_its_end_are_as_plain_text_and_without_tools()
    {
        IReadOnlyList<ModelMessage> talk = [.. Talk, .. Enumerable.Range(0, 50).Select(i => ModelMessage.Tool($"c{i}", $"result {i} " + new string('x', 100)))];

        var call = WrapUp.Fit(talk, Tools, Note, room: 4_000, reserve: 1_024);

        Assert.Equal(talk.Take(2), call!.Messages.Take(2));
        Assert.Equal(ModelRole.User, call.Messages[2].Role);
        Assert.Equal(3, call.Messages.Count);
        Assert.Contains("tool: result 49 x", call.Messages[2].Text, StringComparison.Ordinal);
        Assert.DoesNotContain("result 0 ", call.Messages[2].Text, StringComparison.Ordinal);
        Assert.Empty(call.Tools);
        Assert.Equal(1_024, call.MaxOutputTokens);
        var order = Enumerable.Range(0, 50).Select(i => call.Messages[2].Text.IndexOf($"result {i} ", StringComparison.Ordinal)).Where(at => at >= 0).ToList();
        Assert.Equal(order.Order(), order);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(700)]
    public void Where_nothing_useful_fits_there_is_no_last_call(long room)
    {
        Assert.Null(WrapUp.Fit(Talk, Tools, Note, room, reserve: 2_048));
    }

    [Fact]
    public void Instructions_that_leave_no_room_are_not_cut()
    {
        IReadOnlyList<ModelMessage> talk = [ModelMessage.System(new string('i', 5_000)), .. Talk.Skip(1)];

        Assert.Null(WrapUp.Fit(talk, Tools, Note, room: 4_000, reserve: 2_048));
    }

    /// <summary>A token has at least one byte, so what has no more bytes than the room, as JSON, surely fits.</summary>
    [Fact]
    public void What_is_sent_and_answered_never_passes_the_room()
    {
        var text = Gen.OneOf(Gen.String, Gen.String[Gen.Int[0, Awkward.Length - 1].Select(i => Awkward[i]), 0, 400], Gen.Int[0, 3_000].Select(n => new string('x', n)));
        var message = Gen.Select(text, Gen.Bool).Select(ModelMessage (string t, bool tool) => tool ? ModelMessage.Tool("call", t) : ModelMessage.User(t));
        Gen.Select(message.Array[2, 12], Gen.Long[0, 12_000], Gen.Long[1, 3_000]).Sample((talk, room, reserve) =>
        {
            if (WrapUp.Fit(talk, Tools, Note, room, reserve) is not { } call)
                return true;
            var bytes = call.Messages.Append(ModelMessage.User(Note)).Sum(m => JsonSerializer.SerializeToUtf8Bytes(m.Text, AsSent).Length + (m.CallId?.Length ?? 0));
            return call.MaxOutputTokens >= WrapUp.UsefulOutput && call.MaxOutputTokens <= reserve && bytes + call.MaxOutputTokens <= room;
        }, iter: 5_000);
    }

    [Fact]
    public void Half_a_character_is_never_sent()
    {
        IReadOnlyList<ModelMessage> talk = [.. Talk.Take(2), ModelMessage.User(string.Concat(Enumerable.Repeat("😀", 2_000)))];
        var cuts = 0;

        for (var room = 2_000; room < 4_000; room++)
        {
            if (WrapUp.Fit(talk, Tools, Note, room, 512) is not { } call)
                continue;
            cuts++;
            Assert.Equal(call.Messages[2].Text, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(call.Messages[2].Text)));
        }

        Assert.True(cuts > 1_000, $"only {cuts} of 2,000 were cut and sent");
    }

    [Fact]
    public void The_note_names_the_limit_and_asks_for_the_answer()
    {
        Assert.Contains("limit of money", Note, StringComparison.Ordinal);
        Assert.Contains("limit of model calls", WrapUp.Note(new LimitDenial(Own, LimitDimension.ModelCalls, 1, 1, 0, 1)), StringComparison.Ordinal);
        Assert.Contains("final answer now", Note, StringComparison.Ordinal);
    }

    private static string Note => WrapUp.Note(new LimitDenial(Own, LimitDimension.NanoUsd, 1, 1, 0, 1));
}
