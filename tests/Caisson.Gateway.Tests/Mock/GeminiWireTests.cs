using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Mock;

public sealed class GeminiWireTests
{
    private const string First = """{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"go"}]}]}""";

    [Fact]
    public async Task A_response_has_its_parts_and_thoughts_beside_the_answer()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var response = await MockClient.PostJsonAsync(rig, "/v1beta/models/m:generateContent", First);

        var candidate = response.At("candidates", 0);
        Assert.Equal("STOP", candidate.Text("finishReason"));
        Assert.Equal(MockClient.Said, candidate.GetProperty("content").At("parts", 0).Text("text"));
        Assert.Equal($$"""{"name":"shell","args":{{MockClient.Command}}}""", candidate.GetProperty("content").At("parts", 1).GetProperty("functionCall").GetRawText());
        Assert.Equal(
            """{"promptTokenCount":1000,"candidatesTokenCount":250,"totalTokenCount":1300,"cachedContentTokenCount":200,"thoughtsTokenCount":50,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1000}]}""",
            response.GetProperty("usageMetadata").GetRawText());
    }

    [Theory]
    [InlineData("?alt=sse")]
    [InlineData("")]
    public async Task A_stream_builds_the_same_response_as_events_or_as_a_growing_list(string query)
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var whole = await MockClient.PostJsonAsync(rig, "/v1beta/models/m:generateContent", First);
        var stream = await MockClient.PostAsync(rig, $"/v1beta/models/m:streamGenerateContent{query}", First);

        var pieces = query.Length > 0 ? MockClient.Events(stream).Select(e => e.Data).ToArray() : [.. MockClient.Json(stream).EnumerateArray()];
        var parts = pieces.Select(p => p.At("candidates", 0).GetProperty("content").At("parts", 0)).ToArray();
        Assert.True(pieces.Length > 4);
        Assert.Equal(MockClient.Said, string.Concat(parts[..^2].Select(p => p.Text("text"))));
        Assert.Equal(whole.At("candidates", 0).GetProperty("content").At("parts", 2).GetRawText(), parts[^1].GetRawText());
        Assert.Equal(whole.GetProperty("usageMetadata").GetRawText(), pieces[^1].GetProperty("usageMetadata").GetRawText());
        Assert.Equal([pieces.Length - 1], Enumerable.Range(0, pieces.Length).Where(i => pieces[i].At("candidates", 0).TryGetProperty("finishReason", out _)));
    }

    [Fact]
    public async Task A_streams_pieces_that_a_client_kept_apart_are_one_turn_and_results_are_read()
    {
        await using var rig = await Rig.StartAsync("""
            scripts:
              - match: { tool: denied, system: careful }
                turns: [{ say: first }, { say: seen }]
              - turns: [{ say: unseen, repeat: forever }]
            """);

        var response = await MockClient.PostJsonAsync(rig, "/v1beta/models/m:generateContent", """
            {"system_instruction":{"parts":[{"text":"be careful"}]},"contents":[{"parts":[{"text":"go"}]},{"role":"model","parts":[{"text":"x"}]},
            {"role":"model","parts":[{"functionCall":{"name":"n","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"n","response":{"output":{"code":1,"lines":["access \"denied\""]}}}}]}]}
            """);

        Assert.Equal("seen", response.At("candidates", 0).GetProperty("content").At("parts", 0).Text("text"));
        Assert.Equal(("gemini", 2), (rig.LogLines()[^1].Text("wire"), rig.LogLines()[^1].GetProperty("turn").GetInt32()));
    }

    [Fact]
    public async Task A_count_is_free_also_where_it_holds_the_request_that_it_is_for()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        var plain = await MockClient.PostAsync(rig, "/v1/models/m:countTokens", First);
        var held = await MockClient.PostAsync(rig, "/v1beta/models/m:countTokens", $$"""{"generateContentRequest":{{First}}}""");
        var answer = await MockClient.PostJsonAsync(rig, "/v1beta/models/m:generateContent", First);

        Assert.Equal(plain, held);
        Assert.Equal(answer.GetProperty("usageMetadata").GetProperty("promptTokenCount").GetRawText(), MockClient.Json(plain).GetProperty("totalTokens").GetRawText());
        Assert.Equal(1, rig.PaidCalls());
    }
}
