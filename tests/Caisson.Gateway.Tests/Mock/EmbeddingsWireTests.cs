using System.Net;
using System.Text.Json;
using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Mock;

public sealed class EmbeddingsWireTests
{
    private const string Path = "/v1/embeddings";

    [Fact]
    public async Task The_same_text_has_the_same_vector_of_length_one()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        var one = await MockClient.PostJsonAsync(rig, Path, """{"model":"e","input":"a"}""");
        var many = await MockClient.PostJsonAsync(rig, Path, """{"model":"e","input":["b","a"],"encoding_format":"float"}""");

        Assert.Equal(one.At("data", 0).GetProperty("embedding").GetRawText(), many.At("data", 1).GetProperty("embedding").GetRawText());
        Assert.NotEqual(many.At("data", 0).GetProperty("embedding").GetRawText(), many.At("data", 1).GetProperty("embedding").GetRawText());
        Assert.Equal(1, Vector(one).Sum(x => x * x), 1e-5);
        Assert.Equal(one.GetProperty("usage").GetProperty("prompt_tokens").GetRawText(), one.GetProperty("usage").GetProperty("total_tokens").GetRawText());
        Assert.Equal(("answered", "openai.embeddings"), (rig.LogLines()[^1].Text("event"), rig.LogLines()[^1].Text("wire")));
    }

    [Fact]
    public async Task Base64_holds_the_same_numbers()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        var plain = await MockClient.PostJsonAsync(rig, Path, """{"model":"e","input":[[1,2],[3]],"dimensions":40}""");
        var packed = await MockClient.PostJsonAsync(rig, Path, """{"model":"e","input":[[1,2],[3]],"dimensions":40,"encoding_format":"base64"}""");

        var bytes = packed.At("data", 0).GetProperty("embedding").GetBytesFromBase64();
        Assert.Equal(Vector(plain), Enumerable.Range(0, 40).Select(i => BitConverter.ToSingle(bytes, i * 4)));
    }

    [Fact]
    public async Task Only_a_script_that_is_made_for_them_makes_them_fail()
    {
        await using var rig = await Rig.StartAsync("""
            scripts:
              - match: { wire: openai.embeddings }
                turns: [{ say: x, fail: { status: 500 }, usage: { input: 7 } }]
              - turns: [{ say: ok, fail: { status: 400, times: forever } }]
            """);

        using var failed = await MockClient.SendAsync(rig, Path, """{"model":"e","input":"a"}""");
        var answered = await MockClient.PostJsonAsync(rig, Path, """{"model":"e","input":"a"}""");

        Assert.Equal(HttpStatusCode.InternalServerError, failed.StatusCode);
        Assert.Equal("""{"prompt_tokens":7,"total_tokens":7}""", answered.GetProperty("usage").GetRawText());
    }

    [Theory]
    [InlineData("""{"model":"e","input":[]}""")]
    [InlineData("""{"model":"e","input":"a","dimensions":0}""")]
    [InlineData("""{"model":"e","input":"a","dimensions":1000000}""")]
    [InlineData("""{"model":"e"}""")]
    public async Task What_cannot_be_embedded_is_refused(string body)
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        using var response = await MockClient.SendAsync(rig, Path, body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    private static float[] Vector(JsonElement answer) => [.. answer.At("data", 0).GetProperty("embedding").EnumerateArray().Select(x => x.GetSingle())];
}
