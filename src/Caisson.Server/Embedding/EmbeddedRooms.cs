using Caisson.Contracts;
using Caisson.Core;
using Caisson.Server.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Caisson.Server.Embedding;

/// <summary>
/// The parts of a server within an application. They are put together when they are first asked for, so that the
/// application can create runs before it starts; the engine begins with the application.
/// </summary>
internal sealed class EmbeddedRooms : IAsyncDisposable
{
    public EmbeddedRooms(IOptions<CaissonOptions> options, CodeAgents agents, IHostEnvironment environment, IServiceScopeFactory scopes, ILoggerFactory logs, IServiceProvider services)
    {
        Clock = services.GetService<TimeProvider>() ?? TimeProvider.System;
        var catalog = agents.Build(scopes, logs.CreateLogger("Caisson.Agents"));
        var (rooms, failure) = Rooms.Open(options.Value.ToServer(environment.ContentRootPath), catalog, Clock, new SystemIds(Clock), logs);
        Rooms = rooms ?? throw new CaissonException(failure!.Code, failure.Message);
    }

    internal Rooms Rooms { get; }

    internal TimeProvider Clock { get; }

    /// <summary>The lease or the storage is gone: nothing may be put in order any more, and recovery does it better.</summary>
    internal bool IsLost { get; set; }

    public ValueTask DisposeAsync() => IsLost ? ValueTask.CompletedTask : Rooms.DisposeAsync();
}
