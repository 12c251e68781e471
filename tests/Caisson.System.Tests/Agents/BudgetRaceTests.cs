using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>A thousand calls at once, from four boxes and on four wires, against one tenant's money for a hundred of them.</summary>
public sealed class BudgetRaceTests
{
    private const int CallsOfEach = 250;
    private const int Hundred = 100;

    // What the scripted provider bills for each of them: the texts are all of one length.
    private const long NanoUsdOfInput = 1_000;
    private const long NanoUsdOfOutput = 10_000;
    private const long OutputTokens = 200;

    private static readonly (string Wire, string Path, string Body)[] Wires =
    [
        ("openai.chat", "/v1/chat/completions", """{"model": "m", "max_tokens": 300, "messages": [{"role": "user", "content": TEXT}]}"""),
        ("openai.responses", "/v1/responses", """{"model": "m", "max_output_tokens": 300, "input": [{"role": "user", "content": TEXT}]}"""),
        ("anthropic", "/v1/messages", """{"model": "m", "max_tokens": 300, "messages": [{"role": "user", "content": TEXT}]}"""),
        ("gemini", "/v1beta/models/m:generateContent", """{"generationConfig": {"maxOutputTokens": 300}, "contents": [{"role": "user", "parts": [{"text": TEXT}]}]}"""),
    ];

    // All calls at once. Plain Python; prints how many were answered.
    private const string Program = """
        import asyncio, json, sys
        path, body, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
        async def ask(i):
            raw = body.replace("TEXT", json.dumps("call %04d" % i)).encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", 4180)
            writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(raw)) + raw)
            return (await reader.read()).startswith(b"HTTP/1.1 200")
        async def main():
            print(sum(await asyncio.gather(*[ask(i) for i in range(count)])))
        asyncio.run(main())
        """;

    [Fact]
    public async Task Spend_never_passes_the_cap_by_one_nano_dollar_on_any_wire_and_across_a_crash()
    {
        var script = $"scripts:\n  - model: m\n    turns: [{{ say: \"{new string('x', 4 * (int)OutputTokens)}\", delay: 100ms }}]\n";
        await using var server = await ServerProcess.StartAsync(script: script, more: ServerProcess.OtherWires);
        const long cap = Hundred * (OutputTokens * NanoUsdOfOutput + 20 * NanoUsdOfInput);
        Assert.Equal(0, (await server.RunAsync("budget", "set", "tenant:default", "--usd", Usd(cap))).Exit);

        // Of its own each has three tenths, so that the first box cannot take all; together more than the tenant.
        var runs = new List<string>();
        foreach (var (_, path, body) in Wires)
            runs.Add(await server.CreateAsync($"name: racer\nprocess: {{ command: [python3, -c, {JsonSerializer.Serialize(Program)}, {JsonSerializer.Serialize(path)}, {JsonSerializer.Serialize(body)}, \"{CallsOfEach}\"] }}\nsandbox: {{ memory: 256MiB, disk: 16MiB }}\nlimits: {{ usd: {Usd(cap * 3 / 10)}, steps: 2000, model_calls: 2000 }}\n"));
        await Until.True("some are answered, on every wire", () => Answered(server).GroupBy(e => e.GetProperty("wire").GetString()).Count() == Wires.Length);
        await server.KillAsync();
        await server.LaunchAsync();

        foreach (var run in runs)
        {
            var view = await server.EndedAsync(run);
            Assert.Equal((RunStatus.Paused, PauseCause.Budget), (view.Status, view.Paused));
        }

        // What the provider has in its own books, whether or not the answer arrived.
        var billed = server.ModelEvents().Where(e => e.GetProperty("event").GetString() is "answered" or "failed").Sum(Bill);
        Assert.InRange(billed, 1, cap);
        var budget = JsonSerializer.Deserialize<JsonElement>((await server.RunAsync("budget", "get", "tenant:default", "-o", "json")).Out);
        var money = budget.GetProperty("rows").EnumerateArray().Single(r => r.GetProperty("dimension").GetString() == "usd");
        var spent = Nano(money.GetProperty("spent").GetString()!);
        Assert.InRange(spent, billed, cap);
        Assert.Equal(0, Nano(money.GetProperty("held").GetString()!));

        // And it was used: what is left is too little for one call more.
        Assert.InRange(cap - spent, 0, 2 * OutputTokens * NanoUsdOfOutput);
        await server.AssertSoundAsync();
    }

    private static IEnumerable<JsonElement> Answered(ServerProcess server) => server.ModelEvents().Where(e => e.GetProperty("event").GetString() == "answered");

    private static long Bill(JsonElement call) => call.GetProperty("usage") is { ValueKind: JsonValueKind.Object } usage
        ? usage.GetProperty("input").GetInt64() * NanoUsdOfInput + usage.GetProperty("output").GetInt64() * NanoUsdOfOutput
        : 0;

    private static string Usd(long nano) => (nano / 1e9m).ToString(CultureInfo.InvariantCulture);

    private static long Nano(string usd) => (long)(decimal.Parse(usd, CultureInfo.InvariantCulture) * 1_000_000_000);
}
