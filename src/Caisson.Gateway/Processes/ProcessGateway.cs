using Caisson.Core.Processes;
using Caisson.Gateway.Egress;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Caisson.Gateway.Processes;

/// <summary>The HTTP server behind the doors of all boxes. It listens to no port of the host.</summary>
public sealed class ProcessGateway : IProcessGateway, IAsyncDisposable
{
    private readonly WebApplication _web;
    private readonly BoxListener _listener;
    private readonly EgressGate _egress;
    private readonly ILoggerFactory _logs;

    public ProcessGateway(ModelCallPipeline pipeline, EgressGate egress, TimeProvider clock, ILoggerFactory logs)
    {
        (_listener, _egress, _logs) = (new BoxListener(), egress, logs);
        // The root is a folder that is surely there: the framework would look for settings files in the working directory.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, ApplicationName = "caisson-boxes" });
        builder.Services.AddSingleton(logs);
        Mcp.McpDoor.Add(builder.Services);
        builder.Services.AddSingleton<IConnectionListenerFactory>(_listener);
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // A program has its few connections from its own box; one that only trickles does not keep them.
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
            kestrel.Listen(_listener.EndPoint, listen => listen.Protocols = HttpProtocols.Http1);
        });
        _web = builder.Build();
        new StepDoor(clock).MapTo(_web);
        Mcp.McpDoor.Map(_web);
        _web.Run(new ModelDoor(pipeline).ServeAsync);
    }

    /// <summary>Begins to serve. Connections that come before it wait.</summary>
    public Task StartAsync(CancellationToken cancellationToken) => _web.StartAsync(cancellationToken);

    public IProcessCalls Begin(IProcessRun run) => new ProcessCalls(run, _listener) { Mcp = new Mcp.McpServers(run, _egress, _logs) };

    public async ValueTask DisposeAsync()
    {
        await _web.StopAsync();
        await _web.DisposeAsync();
    }

    /// <summary>Signals are the command's business.</summary>
    private sealed class SilentLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
