using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Caisson.MockModel;

/// <summary>
/// A model provider that plays a script, over HTTP, on the wires of OpenAI, Anthropic and Gemini: for demos, tests and users' own CI.
/// Nothing in the engine knows that it exists.
/// </summary>
public sealed class MockModelServer : IAsyncDisposable
{
    private const long MaxBodyBytes = 16 << 20;

    private readonly WebApplication _application;
    private readonly RequestLog _log;
    private readonly CancellationTokenSource _stopping;
    private readonly MockCalls _calls;

    private MockModelServer(WebApplication application, RequestLog log, CancellationTokenSource stopping, MockCalls calls)
    {
        _application = application;
        _log = log;
        _stopping = stopping;
        _calls = calls;
        var address = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        BaseUri = new Uri(address.TrimEnd('/') + "/v1");
    }

    /// <summary>What a client of OpenAI takes as its base URL: <c>http://127.0.0.1:PORT/v1</c>.</summary>
    public Uri BaseUri { get; }

    /// <summary>What a client of Anthropic or Gemini takes: <c>http://127.0.0.1:PORT</c>.</summary>
    public Uri Root => new(BaseUri.GetLeftPart(UriPartial.Authority));

    /// <summary>Model requests that have come so far, well-formed or not.</summary>
    public long Requests => _calls.Requests;

    /// <summary>Throws <see cref="IOException"/> when the address is taken or the log cannot be opened.</summary>
    public static async Task<MockModelServer> StartAsync(MockModelOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var log = new RequestLog(options.LogFile, options.Time);
        var stopping = new CancellationTokenSource();
        var calls = new MockCalls(options.Script, log, options.Time, stopping.Token);
        var routes = new Routes(options.Script, calls);

        // An empty builder: environment variables and appsettings.json of whoever hosts this must not steer it.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxBodyBytes;
            kestrel.Listen(options.Listen);
        });
        var application = builder.Build();
        application.Run(routes.AnswerAsync);
        try
        {
            await application.StartAsync();
            return new MockModelServer(application, log, stopping, calls);
        }
        catch
        {
            await application.DisposeAsync();
            log.Dispose();
            stopping.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        // First, so that answers on their way in a delay or a hang end and the server need not wait for them.
        await _stopping.CancelAsync();
        await _application.StopAsync();
        await _application.DisposeAsync();
        _log.Dispose();
        _stopping.Dispose();
    }

    /// <summary>Completes when so many model requests have come and been logged.</summary>
    internal Task WhenRequestsAsync(long count) => _calls.WhenRequestsAsync(count);
}
