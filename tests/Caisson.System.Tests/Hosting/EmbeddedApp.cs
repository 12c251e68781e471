using Caisson.Client;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Server.Embedding;
using Caisson.System.Tests.Harness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Caisson.System.Tests.Hosting;

/// <summary>An application as users write it, with the engine in it: a real Kestrel on a free port, a real database.</summary>
internal sealed class EmbeddedApp : IAsyncDisposable
{
    private readonly WebApplication _web;

    private EmbeddedApp(WebApplication web)
    {
        _web = web;
        Http = new HttpClient { BaseAddress = new Uri(web.Urls.Single()) };
        Client = new CaissonClient(Http, TimeProvider.System);
    }

    internal HttpClient Http { get; }

    internal CaissonClient Client { get; }

    internal WebApplication Web => _web;

    internal Runs Runs => _web.Services.GetRequiredService<Runs>();

    internal static async Task<EmbeddedApp> StartAsync(Folder folder, Action<CaissonBuilder> agents, Action<WebApplication>? map = null)
    {
        var web = Build(folder, agents);
        if (map is null)
            web.MapCaisson();
        else
            map(web);
        await web.StartAsync();
        return new EmbeddedApp(web);
    }

    internal static WebApplication Build(Folder folder, Action<CaissonBuilder> agents)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = folder.Path });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddAuthorization();
        agents(builder.Services.AddCaisson(options => options.DataDirectory = "data"));
        return builder.Build();
    }

    /// <param name="more">More of the manifest.</param>
    internal async Task<string> CreateAsync(string agent, string input = "", string more = "")
    {
        var (run, _) = await Client.CreateRunAsync(new CreateRunRequest($"name: {agent}\ncode: {agent}\n{more}", null, input), null, CancellationToken.None);
        return run.Id;
    }

    internal Task<RunView> UntilAsync(string run, Func<RunView, bool> good) =>
        Until.AsyncValue($"run {run}", () => Client.GetRunAsync(run, CancellationToken.None), good);

    internal async Task<string?> ResultAsync(string run)
    {
        var ended = await UntilAsync(run, view => view.Status.IsFinal());
        Assert.Equal((RunStatus.Completed, null), (ended.Status, ended.Failure));
        return ended.Result;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _web.DisposeAsync();
    }
}
