using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Tests.Harness;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Processes;

/// <summary>A program's door with clients that are large, slow or wrong, on real sockets.</summary>
public sealed class DoorTests : IAsyncLifetime
{
    private readonly TestStepLog _log = new(new FakeTimeProvider());
    private UpstreamServer _model = null!;
    private ModelCallPipeline _pipeline = null!;
    private DoorRig _door = null!;

    public async ValueTask InitializeAsync()
    {
        _model = await UpstreamServer.StartAsync();
        _pipeline = new ModelCallPipeline([Rig.Provider(_model.Url + "/v1")], PriceTable.Embedded, TimeProvider.System, new Random(7), NullLogger.Instance);
        _door = await DoorRig.StartAsync(_pipeline, _log);
    }

    public async ValueTask DisposeAsync()
    {
        await _door.DisposeAsync();
        _pipeline.Dispose();
        await _model.DisposeAsync();
    }

    [Fact]
    public async Task Ten_megabytes_go_there_as_they_are_and_are_held_byte_for_token()
    {
        var text = string.Concat(Enumerable.Range(0, (10 << 20) / 18).Select(i => $"{i:D8} at 12:30\n"));
        var body = JsonSerializer.Serialize(new { model = "m", max_tokens = 300, messages = new[] { new { role = "user", content = text } } });

        using var response = await _door.PostAsync("/v1/chat/completions", body);

        Assert.Equal(200, (int)response.StatusCode);
        Assert.Equal(text, JsonDocument.Parse(Assert.Single(_model.Requests).Body).RootElement.GetProperty("messages")[0].GetProperty("content").GetString());
        Assert.InRange(Assert.Single(_log.Holds)!.InputTokens, Encoding.UTF8.GetByteCount(body), Encoding.UTF8.GetByteCount(body) + 1_000);
    }

    /// <summary>Headers that do not end, a body that does not come: the connection ends, and others are served meanwhile.</summary>
    [Theory]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ")]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"model\":")]
    public async Task Who_only_trickles_is_cut_off(string beginning)
    {
        await using var slow = await _door.ConnectAsync();
        await slow.WriteAsync(Encoding.ASCII.GetBytes(beginning), TestContext.Current.CancellationToken);

        using var response = await _door.PostAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(200, (int)response.StatusCode);

        var said = new MemoryStream();
        try
        {
            await slow.CopyToAsync(said, TestContext.Current.CancellationToken).WaitAsync(TestStepLog.Patience);
        }
        catch (IOException reset) when (reset.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            // Cut without a word.
        }

        Assert.True(said.Length == 0 || Encoding.ASCII.GetString(said.ToArray()).StartsWith("HTTP/1.1 40", StringComparison.Ordinal), Encoding.ASCII.GetString(said.ToArray()));
        Assert.Single(_model.Requests);
    }

    [Theory]
    [InlineData("GET / HTTP/9.9\r\n\r\n")]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")]
    [InlineData("\0\u0001\u0002\r\n\r\n")]
    public async Task What_is_no_HTTP_is_refused_and_asks_nobody(string bytes)
    {
        await using var wrong = await _door.ConnectAsync();
        await wrong.WriteAsync(Encoding.Latin1.GetBytes(bytes), TestContext.Current.CancellationToken);
        var answer = new byte[12];

        Assert.Equal(12, await wrong.ReadAtLeastAsync(answer, 12, throwOnEndOfStream: false, TestContext.Current.CancellationToken).AsTask().WaitAsync(TestStepLog.Patience));

        Assert.Matches("^HTTP/1.1 (4|505)", Encoding.ASCII.GetString(answer));
        Assert.Empty(_model.Requests);
        Assert.Empty(_log.Events);
    }
}
