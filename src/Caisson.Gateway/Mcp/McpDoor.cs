using System.Text.Json;
using Caisson.Contracts;
using Caisson.Gateway.Processes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol;
using ModelContextProtocol.AspNetCore;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace Caisson.Gateway.Mcp;

/// <summary>
/// The route <c>/mcp/SERVER</c> of a box: an MCP server toward the program, on streamable HTTP, that keeps nothing between
/// two requests. All it knows stands in the run's journal.
/// </summary>
internal static class McpDoor
{
    private const string Prefix = "/mcp";

    public static void Add(IServiceCollection services)
    {
        services.AddRouting();
        services.AddMcpServer().WithHttpTransport(options =>
        {
            options.SessionMode = HttpServerSessionMode.Stateless;
            options.ConfigureSessionOptions = ConfigureAsync;
        });
    }

    public static void Map(IApplicationBuilder web) => web.MapWhen(http => http.Request.Path.StartsWithSegments(Prefix), branch =>
    {
        branch.Use(AdmitAsync);
        branch.UseRouting();
        branch.UseEndpoints(routes => routes.MapMcp(Prefix + "/{server}"));
    });

    /// <summary>Only servers of the manifest, and nobody while the run halts.</summary>
    private static async Task AdmitAsync(HttpContext http, RequestDelegate next)
    {
        var start = StartOf(http);
        if (start.Calls.Run.IsHalting)
        {
            await ModelDoor.HoldAsync(http);
            return;
        }

        if (start.Calls.Mcp.Find(NameOf(http)) is null)
        {
            var known = start.Calls.Mcp.Names;
            http.Response.StatusCode = StatusCodes.Status404NotFound;
            await http.Response.WriteAsync($"caisson: no MCP server of this run is named so: {(known.Count == 0 ? "its manifest names none, under mcp.servers" : $"its manifest names {string.Join(", ", known)}")}\n", http.RequestAborted);
            return;
        }

        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = BoxProgram.LongestMessage;
        try
        {
            await next(http);
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
            // The client went away; its step goes on without it.
        }
    }

    private static async Task ConfigureAsync(HttpContext http, McpServerOptions options, CancellationToken cancellationToken)
    {
        var (start, name) = (StartOf(http), NameOf(http));
        var server = start.Calls.Mcp.Find(name)!;
        var (pinned, failure) = await server.DefinitionsAsync(http.RequestAborted);
        options.ServerInfo = pinned?.Server ?? new Implementation { Name = name, Version = "unknown" };
        options.ServerInstructions = pinned?.Instructions;
        options.Capabilities = new ServerCapabilities { Tools = new ToolsCapability() };
        options.Handlers = new McpServerHandlers
        {
            ListToolsHandler = (_, _) => new(new ListToolsResult { Tools = Known(pinned, failure).Tools }),
            CallToolHandler = async (request, cancellation) =>
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation, http.RequestAborted);
                return await CallAsync(start, name, server, Known(pinned, failure), request.Params!, patience.Token);
            },
        };
    }

    private static async ValueTask<CallToolResult> CallAsync(ProcessStart start, string name, McpServer server, McpDefinitions pinned, CallToolRequestParams asked, CancellationToken patience)
    {
        if (!pinned.Tools.Any(t => t.Name == asked.Name))
            throw new McpProtocolException($"no tool of MCP server '{name}' is named so: they are {Shown(pinned)}", McpErrorCode.InvalidParams);
        var arguments = JsonSerializer.SerializeToElement(asked.Arguments ?? new Dictionary<string, JsonElement>(), McpJsonUtilities.DefaultOptions);
        var identity = McpServer.IdentityOf(name, asked.Name, arguments);
        var nth = start.Mcp.Take(identity);
        try
        {
            return await server.CallAsync(pinned, asked.Name, arguments, nth, patience);
        }
        catch (OperationCanceledException)
        {
            start.Mcp.GiveBack(identity, nth);
            throw;
        }
    }

    private static McpDefinitions Known(McpDefinitions? pinned, Failure? failure) =>
        pinned ?? throw new McpProtocolException($"{failure!.Code}: {failure.Message}", McpErrorCode.InternalError);

    private static string Shown(McpDefinitions pinned) => string.Join(", ", pinned.Tools.Take(50).Select(t => t.Name));

    private static ProcessStart StartOf(HttpContext http) => http.Features.Get<ProcessStart>() ?? throw new InvalidOperationException("a request that came from no box");

    private static string NameOf(HttpContext http) => http.Request.Path.Value![(Prefix.Length)..].Trim('/');
}
