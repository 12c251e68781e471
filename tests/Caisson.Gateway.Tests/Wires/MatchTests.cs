using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

public sealed class MatchTests
{
    private const string Path = "/v1/chat/completions";

    private static MatchKeys Chat(string messages, string extra = "", string? agent = null) =>
        WireRig.Call(Path, $$"""{"model":"m","messages":[{{messages}}]{{extra}}}""", agent: agent).Match;

    private static string User(string text) => $$"""{"role":"user","content":"{{text}}"}""";

    [Fact]
    public void Order_blanks_and_escapes_do_not_count()
    {
        var one = WireRig.Call(Path, """{"model":"m","messages":[{"role":"user","content":"caf\u00e9"}]}""").Match;
        var two = WireRig.Call(Path, """{ "messages":[{"content":"café","role":"user"}], "model":"m" }""").Match;

        Assert.Equal((one.L0, one.L1, one.L2, one.L3), (two.L0, two.L1, two.L2, two.L3));
    }

    [Theory]
    [InlineData(""","max_tokens":5""", 0)]
    [InlineData(""","stream_options":{"include_usage":true}""", 0)]
    [InlineData(""","metadata":{"a":"b"}""", 1)]
    [InlineData(""","user":"u" """, 1)]
    [InlineData(""","prompt_cache_key":"k" """, 1)]
    [InlineData(""","temperature":1""", 4)]
    [InlineData(""","stream":true""", 4)]
    public void Each_level_leaves_out_what_it_says(string extra, int level)
    {
        var plain = Chat(User("hi"));
        var other = Chat(User("hi"), extra);

        Assert.Equal(level == 0, plain.L0 == other.L0);
        Assert.Equal(level <= 1, plain.L1 == other.L1);
        Assert.Equal(level <= 2, plain.L2 == other.L2);
        Assert.Equal(level <= 3, plain.L3 == other.L3);
    }

    [Theory]
    [InlineData("0b5e0d0e-0000-4000-8000-00000000000a", "ffffffff-0000-4000-8000-00000000000b")]
    [InlineData("2026-11-27T09:33:34Z", "2026-12-01T10:00:00.123+01:00")]
    [InlineData("2026-11-27", "2027-01-02")]
    [InlineData("Friday, November 27, 2026", "Monday, December 7, 2026")]
    [InlineData("1764236014123", "1764236999999")]
    [InlineData("0.0512 seconds", "1.3 seconds")]
    [InlineData("12ms", "340ms")]
    [InlineData("pid 123", "pid 4567")]
    public void Volatile_tokens_are_equal_at_L2_and_told_beside_it(string one, string two)
    {
        var a = Chat(User($"at {one}, done"));
        var b = Chat(User($"at {two}, done"));

        Assert.NotEqual(a.L1, b.L1);
        Assert.Equal(a.L2, b.L2);
        Assert.Equal([one], a.Volatile);
        Assert.Equal([two], b.Volatile);
    }

    [Fact]
    public void Two_agents_whose_prompts_differ_by_one_id_are_equal_at_L2_with_other_tokens()
    {
        var a = Chat(User("you are 0b5e0d0e-0000-4000-8000-00000000000a"));
        var b = Chat(User("you are 0b5e0d0e-0000-4000-8000-00000000000b"));

        Assert.Equal(a.L2, b.L2);
        Assert.NotEqual(a.Volatile, b.Volatile);
    }

    [Fact]
    public void The_same_token_twice_is_not_two_tokens()
    {
        Assert.NotEqual(Chat(User("2026-01-01 and 2026-01-01")).L2, Chat(User("2026-01-01 and 2026-01-02")).L2);
        Assert.Equal(Chat(User("2026-01-01 and 2026-01-02")).L2, Chat(User("2026-03-01 and 2026-03-02")).L2);
    }

    [Fact]
    public void A_token_of_another_kind_is_another_text() =>
        Assert.NotEqual(Chat(User("x 2026-01-01 y")).L2, Chat(User("x 12ms y")).L2);

    [Fact]
    public void Tool_call_ids_stand_for_their_order()
    {
        static MatchKeys With(string id, string answer) => Chat($$$"""{{{User("hi")}}},{"role":"assistant","tool_calls":[{"id":"{{{id}}}","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"{{{answer}}}","content":"x"}""");

        Assert.Equal(With("a", "a").L2, With("b", "b").L2);
        Assert.NotEqual(With("a", "a").L1, With("b", "b").L1);
        Assert.NotEqual(With("a", "a").L2, With("a", "b").L2);
    }

    [Fact]
    public void Tool_results_do_not_count_at_L3()
    {
        static MatchKeys With(string result, string role = "tool") => Chat($$"""{{User("hi")}},{"role":"{{role}}","tool_call_id":"a","content":"{{result}}"}""");

        Assert.NotEqual(With("x").L2, With("y").L2);
        Assert.Equal(With("x").L3, With("y").L3);
        Assert.NotEqual(With("x", "user").L3, With("y", "user").L3);
        Assert.Equal(With("2026-01-01").L3, With("nothing").L3);
    }

    [Fact]
    public void A_conversation_continues_its_beginnings()
    {
        var one = Chat($"{User("a")},{User("b")}");
        var two = Chat($"{User("a")},{User("b")},{User("c")}");
        var other = Chat($"{User("x")},{User("b")},{User("c")}");

        Assert.Equal(one.Prefixes, two.Prefixes.Take(2));
        Assert.Equal(3, two.Prefixes.Count);
        Assert.Empty(two.Prefixes.Intersect(other.Prefixes));
    }

    [Fact]
    public void Some_clients_have_rules_of_their_own()
    {
        Assert.NotEqual(Chat(User("Chunk ID: ab12cd x")).L2, Chat(User("Chunk ID: 99ff00 x")).L2);
        Assert.Equal(Chat(User("Chunk ID: ab12cd x"), agent: "codex_exec/1").L2, Chat(User("Chunk ID: 99ff00 x"), agent: "codex_exec/1").L2);
    }

    [Fact]
    public void Data_is_not_searched_for_times()
    {
        var data = new string('A', 5000) + "+7s+";

        Assert.Empty(Chat($$$"""{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,{{{data}}}"}}]}""").Volatile);
    }

    [Fact]
    public void A_conversation_has_one_name_and_another_has_another()
    {
        static string Name(string user, string more) => WireRig.Call(Path, $$$"""{"model":"m","messages":[{"role":"system","content":"now 2026-01-{{{(more.Length == 0 ? 11 : 12)}}}"},{{{User(user)}}},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}{{{more}}}]}""").Conversation;

        Assert.Equal(Name("a", ""), Name("a", "," + User("b")));
        Assert.NotEqual(Name("you are 0b5e0d0e-0000-4000-8000-00000000000a", ""), Name("you are 0b5e0d0e-0000-4000-8000-00000000000b", ""));
    }
}
