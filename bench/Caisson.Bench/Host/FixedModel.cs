using System.Text;
using Caisson.Bench.Probes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Caisson.Bench.Host;

/// <summary>A provider that answers every request with 2 KiB, after a fixed time, whole or as a stream of pieces at a fixed pace.</summary>
internal sealed class FixedModel : IAsyncDisposable
{
    internal const int Pieces = 50;
    private static readonly byte[] Whole = Encoding.UTF8.GetBytes(
        $$$"""{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"{{{Payload.Text(1)}}}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":500,"total_tokens":520}}""");
    private static readonly byte[] Piece = """data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"some words of it "}}]}"""u8.ToArray().Concat("\n\n"u8.ToArray()).ToArray();
    private static readonly byte[] Last = Encoding.UTF8.GetBytes(
        """data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":500,"total_tokens":520}}""" + "\n\ndata: [DONE]\n\n");

    private readonly WebApplication _app;

    private FixedModel(WebApplication app) => _app = app;

    /// <summary>From the request to the first byte.</summary>
    internal TimeSpan Delay { get; set; }

    /// <summary>Between two pieces of a stream.</summary>
    internal TimeSpan Pace { get; set; }

    internal Uri Base => new(_app.Urls.Single() + "/v1/");

    internal static async Task<FixedModel> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var model = new FixedModel(builder.Build());
        model._app.Run(model.AnswerAsync);
        await model._app.StartAsync();
        return model;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext http)
    {
        using var body = new StreamReader(http.Request.Body);
        var isStream = (await body.ReadToEndAsync()).Contains("\"stream\":true", StringComparison.Ordinal);
        if (Delay > TimeSpan.Zero)
            await Task.Delay(Delay);
        http.Response.ContentType = isStream ? "text/event-stream" : "application/json";
        if (!isStream)
        {
            await http.Response.Body.WriteAsync(Whole);
            return;
        }

        for (var i = 0; i < Pieces; i++)
        {
            await http.Response.Body.WriteAsync(Piece);
            await http.Response.Body.FlushAsync();
            if (Pace > TimeSpan.Zero)
                await Task.Delay(Pace);
        }

        await http.Response.Body.WriteAsync(Last);
    }
}
