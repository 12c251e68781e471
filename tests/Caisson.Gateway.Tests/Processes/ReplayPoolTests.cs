using System.Text;
using System.Text.Json;
using Caisson.Core.Journal;
using Caisson.Gateway.Processes;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Processes;

/// <summary>What a program that begins again is answered, and that nobody is answered what is another's.</summary>
public sealed class ReplayPoolTests
{
    private const string A = "6f9619ff-8b86-d011-b42d-00c04fc964ff", B = "7a1b3c4d-1111-4222-8333-444455556666";

    [Fact]
    public void Equal_requests_are_answered_in_their_order_and_each_record_once()
    {
        var pool = Pool("", (User("hi"), "one"), (User("hi"), "two"));

        Assert.Equal(("one", ReplayLevel.L0), Take(pool, User("hi")));
        Assert.Equal(("two", ReplayLevel.L0), Take(pool, User("hi")));
        Assert.Null(Take(pool, User("hi")));
        Assert.Equal(0, pool.Left);
    }

    [Fact]
    public void A_hint_that_changes_no_answer_does_not_part_two_requests()
    {
        var pool = Pool("", (User("hi"), "one"));
        Assert.Equal(("one", ReplayLevel.L1), Take(pool, User("hi"), "user", "somebody"));
    }

    [Fact]
    public void A_prompt_with_another_day_is_the_same_and_one_with_another_task_is_not()
    {
        Assert.Equal(("one", ReplayLevel.L2), Take(Pool("work", (User("Today is 2026-11-26. Go."), "one")), User("Today is 2026-11-27. Go.")));
        Assert.Null(Take(Pool("the invoice of 2026-11-26", (User("See 2026-11-26."), "one")), User("See 2026-11-27.")));
    }

    [Fact]
    public void Two_agents_whose_prompts_differ_by_an_id_never_get_each_other_s_answers_also_where_one_is_recorded()
    {
        var pool = Pool("", (User($"You are {A}."), "a1"), (After($"You are {A}.", "a1", "r"), "a2"));

        Assert.Null(Take(pool, User($"You are {B}.")));
        Assert.Equal(("a1", ReplayLevel.L0), Take(pool, User($"You are {A}.")));
        Assert.Null(Take(pool, After($"You are {B}.", "a1", "r")));
        Assert.Null(Take(pool, After($"You are {B}.", "a1", "another result")));
        Assert.Equal(("a2", ReplayLevel.L0), Take(pool, After($"You are {A}.", "a1", "r")));
    }

    [Fact]
    public void An_id_that_a_tool_gave_may_change_in_a_conversation_that_is_recognised()
    {
        var pool = Pool("", (User("go"), "a1"), (After("go", "a1", $"made {A}"), "a2"));

        Assert.Null(Take(pool, After("go", "a1", $"made {B}")));
        Assert.Equal(("a1", ReplayLevel.L0), Take(pool, User("go")));
        Assert.Equal(("a2", ReplayLevel.L2), Take(pool, After("go", "a1", $"made {B}")));
    }

    [Fact]
    public void A_tool_s_result_may_be_another_one_in_a_conversation_that_is_recognised()
    {
        var pool = Pool("", (User("go"), "a1"), (After("go", "a1", "12 files"), "a2"));

        Assert.Null(Take(pool, After("go", "a1", "13 files")));
        Assert.Equal(("a1", ReplayLevel.L0), Take(pool, User("go")));
        Assert.Equal(("a2", ReplayLevel.L3), Take(pool, After("go", "a1", "13 files")));
    }

    [Fact]
    public void What_was_not_delivered_is_answered_again()
    {
        var pool = Pool("", (User("hi"), "one"));
        var hit = pool.Take("openai.chat", Call(User("hi")).Match)!;
        pool.GiveBack(hit.Call);
        Assert.Equal(("one", ReplayLevel.L0), Take(pool, User("hi")));
    }

    /// <summary>A program that asks something else than its last life did parts from its journal; one that asks what was under way when it died does not.</summary>
    [Fact]
    public void Who_parts_from_the_journal_is_told_from_who_goes_beyond_it()
    {
        var pool = Pool("", (User("hi"), "one"), (After("hi", "one", "result"), "two"), (User("another conversation"), "three"));
        var first = Call(User("hi"));
        var other = Call(After("hi", "another answer", "result"));
        var longer = Call([.. After("hi", "one", "result"), new { role = "assistant", content = "two" }, new { role = "user", content = "more" }]);

        Assert.NotNull(pool.Take("openai.chat", first.Match));
        Assert.Equal(2, Parted(pool, other)?.Record.Seq);
        Assert.Null(Parted(pool, Call(User("a third"))));

        Assert.NotNull(pool.Take("openai.chat", Call(After("hi", "one", "result")).Match));
        Assert.Null(Parted(pool, longer));
        Assert.Null(Parted(pool, Call(User("hi"))));
    }

    /// <summary>A client may give up on an answer and ask something else: that is no other way than the last start's.</summary>
    [Fact]
    public void Nobody_parts_from_what_this_very_start_has_asked()
    {
        var pool = Pool("", (User("hi"), "one"));
        Assert.NotNull(pool.Take("openai.chat", Call(User("hi")).Match));

        pool.Add(Record(7, After("hi", "one", "result"), "two"));

        Assert.Null(Parted(pool, Call(After("hi", "another answer", "result"))));
    }

    private static RecordedCall? Parted(ReplayPool pool, WireCall call) => pool.Parted("openai.chat", call.Conversation, call.Match);

    private static (string, ReplayLevel)? Take(ReplayPool pool, object[] messages, string? field = null, string? value = null) =>
        pool.Take("openai.chat", Call(messages, field, value).Match) is { } hit ? (hit.Call.Exchange.Body!, hit.Level) : null;

    private static ReplayPool Pool(string input, params (object[] Messages, string Answer)[] recorded) => new(
        recorded.Select((r, i) => Record(i + 1, r.Messages, r.Answer)), input);

    private static StepRecord Record(long seq, object[] messages, string answer) => new(seq, new StepKey($"k{seq}"), new StepSubject(StepKind.Model, "mock/m", "x", null, null),
        RecordedExchange.Of(Call(messages), 200, "application/json", [Encoding.UTF8.GetBytes(answer)]).Encode(), null, null);

    private static object[] User(string text) => [new { role = "user", content = text }];

    private static object[] After(string first, string answer, string result) =>
    [
        new { role = "user", content = first },
        new { role = "assistant", content = answer, tool_calls = new[] { new { id = "call_1", type = "function", function = new { name = "shell", arguments = "{}" } } } },
        new { role = "tool", tool_call_id = "call_1", content = result },
    ];

    private static WireCall Call(object[] messages, string? field = null, string? value = null)
    {
        var body = new Dictionary<string, object> { ["model"] = "m", ["messages"] = messages };
        if (field is not null)
            body[field] = value!;
        var head = new WireHead("POST", "/v1/chat/completions", "", null);
        return Assert.IsType<WireRead.Call>(Caisson.Gateway.Wires.Wires.Route(head)!.Read(head, JsonSerializer.SerializeToUtf8Bytes(body))).Value;
    }
}
