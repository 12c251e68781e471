using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Schedules;
using Caisson.Server.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Caisson.Server.Embedding;

/// <summary>Durable agents within an application of one's own.</summary>
public static class CaissonExtensions
{
    /// <summary>
    /// Adds the engine, which starts and stops with the application, and what steers it from code: <see cref="Runs"/>,
    /// <see cref="RunOperations"/> and <see cref="ScheduleBook"/>.
    /// </summary>
    public static CaissonBuilder AddCaisson(this IServiceCollection services, Action<CaissonOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        if (configure is not null)
            services.Configure(configure);
        if (services.FirstOrDefault(service => service.ServiceType == typeof(CodeAgents))?.ImplementationInstance is CodeAgents known)
            return new CaissonBuilder(services, known);

        var agents = new CodeAgents();
        services.AddOptions<CaissonOptions>().ValidateOnStart();
        services.AddSingleton<IValidateOptions<CaissonOptions>, CaissonOptionsCheck>();
        services.AddSingleton(agents);
        services.AddSingleton<EmbeddedRooms>();
        services.AddSingleton(provider => provider.GetRequiredService<EmbeddedRooms>().Rooms.Runs);
        services.AddSingleton(provider => provider.GetRequiredService<EmbeddedRooms>().Rooms.Operations);
        services.AddSingleton(provider => provider.GetRequiredService<EmbeddedRooms>().Rooms.Schedules);
        services.AddHostedService<CaissonService>();
        return new CaissonBuilder(services, agents);
    }

    /// <summary>Creates a run of an agent in code, with its default settings; it is durable when this returns.</summary>
    /// <param name="idempotencyKey">The same key starts one run only.</param>
    public static Task<CreateRunOutcome> CreateAsync(this Runs runs, string agent, string input, string? idempotencyKey = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(runs);
        return runs.CreateAsync(new CreateRun($"name: {agent}\ncode: {agent}\n", $"agent {agent}", input, new RunOverrides(), new Dictionary<string, string>(), idempotencyKey), cancellationToken);
    }

    /// <summary>
    /// Maps the API (<c>/v1/…</c>). It answers to this machine only, until the application says who else may come in:
    /// <c>MapCaisson().RequireAuthorization(…)</c>.
    /// </summary>
    public static IEndpointConventionBuilder MapCaisson(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var services = endpoints.ServiceProvider;
        var embedded = services.GetService<EmbeddedRooms>() ?? throw new InvalidOperationException("there is no engine to map: call services.AddCaisson() first");
        var logs = services.GetRequiredService<ILoggerFactory>();
        var log = logs.CreateLogger("Caisson.Http");
        var group = endpoints.MapGroup("");
        ApiEndpoints.Map(group, embedded.Rooms, embedded.Clock, logs, services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);

        // What the command does for its whole server is done for these endpoints alone: the rest is the application's.
        ((IEndpointConventionBuilder)group).Finally(endpoint =>
        {
            var inner = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = http =>
            {
                if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
                    size.MaxRequestBodySize = Requests.MaxBodyBytes;
                return Problems.GuardAsync(http, guarded => RequestGuard.CheckAsync(guarded, inner), log);
            };
        });
        return group;
    }
}
