using Caisson.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary><c>/healthz</c>: the process answers. <c>/readyz</c>: it takes work; 503 while it stops.</summary>
internal sealed class HealthEndpoints(Func<ReadyView> ready)
{
    internal void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", http => http.Response.WriteAsync("ok\n", http.RequestAborted));
        routes.MapGet("/readyz", http =>
        {
            var view = ready();
            return Views.WriteAsync(http, view.Ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, view, ApiJson.Default.ReadyView);
        });
    }
}
