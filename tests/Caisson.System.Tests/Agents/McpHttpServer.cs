using System.Collections.Concurrent;
using System.Net;
using Caisson.Gateway.Tests.Egress;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol.AspNetCore;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace Caisson.System.Tests.Agents;

/// <summary>An MCP server on loopback, made with the official SDK: what it is called with, and by which key.</summary>
internal sealed class McpHttpServer : IAsyncDisposable
{
    private readonly WebApplication _web;

    private McpHttpServer(WebApplication web) => _web = web;

    internal ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Values of the header Authorization, each once.</summary>
    internal ConcurrentDictionary<string, int> Authorized { get; } = new();

    internal int Port => new Uri(_web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

    internal static async Task<McpHttpServer> StartAsync(HttpServerSessionMode mode = HttpServerSessionMode.Stateless, bool isTls = false)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        McpHttpServer? self = null;
        builder.Services.AddRouting();
        builder.Services.AddMcpServer(options =>
        {
            options.ServerInfo = new Implementation { Name = "pages", Version = "1" };
            options.Handlers.ListToolsHandler = (_, _) => new(new ListToolsResult { Tools = [new Tool { Name = "send" }, new Tool { Name = "refuse" }] });
            options.Handlers.CallToolHandler = (request, _) => self!.CallAsync(request.Params!);
        }).WithHttpTransport(options => options.SessionMode = mode);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (isTls)
                listen.UseHttps(TestAuthority.Issue("localhost"));
        }));
        var web = builder.Build();
        self = new McpHttpServer(web);
        web.Use((http, next) =>
        {
            self.Authorized.TryAdd(http.Request.Headers.Authorization.ToString(), 0);
            return next(http);
        });
        web.MapMcp("/mcp");
        await web.StartAsync();
        return self;
    }

    private ValueTask<CallToolResult> CallAsync(CallToolRequestParams asked)
    {
        if (asked.Name == "refuse")
            throw new ModelContextProtocol.McpProtocolException($"not today{string.Join(" ", Authorized.Keys)}", ModelContextProtocol.McpErrorCode.InvalidParams);
        var text = asked.Arguments!["text"].GetString()!;
        Calls.Enqueue($"{text}|{asked.Meta?["caisson/idempotency_key"]}");
        return new(new CallToolResult { Content = [new TextContentBlock { Text = $"sent {text}, signed {string.Join(" ", Authorized.Keys)}" }] });
    }

    public async ValueTask DisposeAsync()
    {
        await _web.StopAsync();
        await _web.DisposeAsync();
    }
}
