using System.Net;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Server.Configuration;
using Caisson.Server.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Hosting;

public abstract record HostOutcome
{
    public sealed record Started(CaissonHost Host) : HostOutcome;

    public sealed record Refused(Failure Failure) : HostOutcome;
}

/// <summary>
/// A whole server in one process: store, sandboxes, models, engine, and the HTTP API in front of them. The engine
/// starts first: after a crash its runs move on while the API is still coming up.
/// </summary>
public sealed class CaissonHost : IAsyncDisposable
{
    // Streams end at once when the host stops; this bounds requests that hang.
    private static readonly TimeSpan ShutdownLimit = TimeSpan.FromSeconds(3);

    private readonly Rooms _rooms;
    private readonly WebApplication _web;
    private readonly TimeSpan _drainLimit;

    private CaissonHost(Rooms rooms, WebApplication web, IPEndPoint address, TimeSpan drainLimit)
    {
        _rooms = rooms;
        _web = web;
        _drainLimit = drainLimit;
        Address = address;
    }

    public IPEndPoint Address { get; }

    /// <summary>Completes with a failure when this process must end and be started anew: the lease or the storage is lost.</summary>
    public Task Stopped => _rooms.Stopped;

    /// <param name="listenHandle">A socket that listens already and outlives this process, or <c>null</c> to open <see cref="ServerOptions.Listen"/>.</param>
    public static async Task<HostOutcome> StartAsync(ServerOptions options, ulong? listenHandle, TimeProvider clock, IIdSource ids, ILoggerFactory logs, CancellationToken cancellationToken)
    {
        var (rooms, failure) = Rooms.Open(options, AgentCatalog.Empty, clock, ids, logs);
        if (rooms is null)
            return new HostOutcome.Refused(failure!);
        var engine = rooms.StartAsync(cancellationToken);
        var web = BuildWeb(options, listenHandle, rooms, clock, logs);
        try
        {
            await engine;
            await web.StartAsync(cancellationToken);
            return new HostOutcome.Started(new CaissonHost(rooms, web, AddressOf(web, options, listenHandle), options.DrainLimit));
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or CaissonException)
        {
            await web.DisposeAsync();
            await rooms.DisposeAsync();
            return new HostOutcome.Refused(e is CaissonException known
                ? known.ToFailure()
                : new Failure(ErrorCodes.ConfigInvalid, $"server.listen: cannot listen on {options.Listen} ({e.Message}): stop what listens there or choose another port with --listen"));
        }
    }

    /// <summary>Takes nothing new, lets steps finish within the limit, hands every run back, and closes.</summary>
    public async Task DrainAsync()
    {
        await _rooms.Engine.DrainAsync(_drainLimit);
        await _web.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _web.DisposeAsync();
        await _rooms.DisposeAsync();
    }

    private static WebApplication BuildWeb(ServerOptions options, ulong? listenHandle, Rooms rooms, TimeProvider clock, ILoggerFactory logs)
    {
        // The root is a folder that is surely there: the framework would look for settings files in the working directory.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, ApplicationName = "caisson" });
        builder.Services.AddSingleton(logs);
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = ShutdownLimit);
        // Signals are the command's business, which drains first.
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = Requests.MaxBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = 2_000;
            void Wire(ListenOptions listen) => listen.Protocols = HttpProtocols.Http1;
            if (listenHandle is { } handle)
                kestrel.ListenHandle(handle, Wire);
            else
                kestrel.Listen(options.Listen, Wire);
        });

        var web = builder.Build();
        var log = logs.CreateLogger<CaissonHost>();
        web.Use(next => http => Problems.GuardAsync(http, next, log));
        web.Use(next => http => RequestGuard.CheckAsync(http, next));
        web.UseRouting();
        ApiEndpoints.Map(web, rooms, clock, logs, web.Lifetime.ApplicationStopping);
        new HealthEndpoints(rooms.Ready).Map(web);
        web.UseEndpoints(_ => { });
        return web;
    }

    private static IPEndPoint AddressOf(WebApplication web, ServerOptions options, ulong? listenHandle)
    {
        if (listenHandle is not null)
            return options.Listen;
        var bound = web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault();
        return bound is null ? options.Listen : new IPEndPoint(options.Listen.Address, new Uri(bound).Port);
    }

    private sealed class SilentLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
