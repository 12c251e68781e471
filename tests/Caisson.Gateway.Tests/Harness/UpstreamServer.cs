using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Caisson.Gateway.Tests.Harness;

internal sealed record Seen(string Method, string Path, string Query, IReadOnlyDictionary<string, string> Headers, string Body);

/// <summary>A provider on a loopback socket that shows what it got and answers as a test wants.</summary>
internal sealed class UpstreamServer : IAsyncDisposable
{
    public const string Answer = """{"id":"a","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"good day"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}""";

    private readonly WebApplication _web;
    private readonly ConcurrentQueue<Seen> _requests = [];

    private UpstreamServer(WebApplication web, Func<HttpContext, Task> respond)
    {
        _web = web;
        _web.Run(async http =>
        {
            using var reader = new StreamReader(http.Request.Body, Encoding.UTF8);
            var body = await reader.ReadToEndAsync(http.RequestAborted);
            _requests.Enqueue(new Seen(http.Request.Method, http.Request.Path.Value ?? "", http.Request.QueryString.Value ?? "",
                http.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase), body));
            await respond(http);
        });
    }

    public IReadOnlyList<Seen> Requests => [.. _requests];

    public string Url => _web.Urls.First();

    public static async Task<UpstreamServer> StartAsync(Func<HttpContext, Task>? respond = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var server = new UpstreamServer(builder.Build(), respond ?? (http => http.Response.WriteAsync(Answer)));
        await server._web.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _web.DisposeAsync();
}
