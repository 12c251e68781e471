using System.Net;
using Caisson.Contracts;
using Caisson.Server.Embedding;
using Caisson.System.Tests.Harness;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Caisson.System.Tests.Hosting;

/// <summary>The API among an application's own endpoints.</summary>
public sealed class MapCaissonTests : IDisposable
{
    private static readonly AuthorizationPolicy Anyone = new AuthorizationPolicyBuilder().RequireAssertion(_ => true).Build();

    private readonly Folder _folder = new();

    [Fact]
    public async Task Errors_of_the_api_are_problems_and_the_rest_is_the_applications()
    {
        await using var app = await StartAsync(web => web.MapCaisson());

        using var missing = await app.Http.GetAsync(new Uri("v1/runs/zzz", UriKind.Relative));
        using var wrong = await app.Http.GetAsync(new Uri("v1/runs?colour=red", UriKind.Relative));
        using var own = await GetAsync(app, "own", "evil.example");
        using var nothing = await app.Http.GetAsync(new Uri("nothing", UriKind.Relative));

        Assert.Equal((HttpStatusCode.NotFound, ApiNames.Problem), (missing.StatusCode, missing.Content.Headers.ContentType?.MediaType));
        Assert.Equal((HttpStatusCode.BadRequest, ApiNames.Problem), (wrong.StatusCode, wrong.Content.Headers.ContentType?.MediaType));
        Assert.Equal("mine", await own.Content.ReadAsStringAsync());
        Assert.Equal((HttpStatusCode.NotFound, 0L), (nothing.StatusCode, nothing.Content.Headers.ContentLength));
    }

    [Fact]
    public async Task Without_authorization_only_this_machine_is_answered()
    {
        await using var app = await StartAsync(web => web.MapCaisson());

        using var local = await GetAsync(app, "v1/runs", "localhost");
        using var named = await GetAsync(app, "v1/runs", "evil.example");
        using var far = await GetAsync(app, "v1/runs", "localhost", "10.1.2.3");

        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.Forbidden, HttpStatusCode.Forbidden], [local.StatusCode, named.StatusCode, far.StatusCode]);
    }

    [Fact]
    public async Task With_authorization_the_application_decides_who_comes_in()
    {
        await using var app = await StartAsync(web => web.MapCaisson().RequireAuthorization(Anyone));

        using var far = await GetAsync(app, "v1/runs", "agents.example", "10.1.2.3");
        using var page = await GetAsync(app, "v1/runs", "agents.example", "10.1.2.3", "http://evil.example");

        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.Forbidden], [far.StatusCode, page.StatusCode]);
    }

    [Fact]
    public async Task Under_a_prefix_a_new_run_says_where_it_is()
    {
        await using var app = await StartAsync(web => web.MapGroup("/agents").MapCaisson());

        using var created = await app.Http.PostAsync(new Uri("agents/v1/runs", UriKind.Relative), new StringContent("""{"manifest":"name: one\ncode: one\n","input":""}""", global::System.Text.Encoding.UTF8, "application/json"));

        Assert.Equal(HttpStatusCode.Created, created.StatusCode);
        using var found = await app.Http.GetAsync(created.Headers.Location);
        Assert.Equal(HttpStatusCode.OK, found.StatusCode);
    }

    [Fact]
    public async Task A_body_over_the_cap_is_refused_there_only()
    {
        await using var app = await StartAsync(web => web.MapCaisson());
        using var big = new ByteArrayContent(new byte[9 << 20]);
        big.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/runs") { Content = big };
        request.Headers.ExpectContinue = true;

        using var refused = await app.Http.SendAsync(request);
        using var own = await app.Http.PostAsync(new Uri("own", UriKind.Relative), new ByteArrayContent(new byte[9 << 20]));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, refused.StatusCode);
        Assert.Equal("9437184", await own.Content.ReadAsStringAsync());
    }

    [Fact]
    public void Without_the_engine_there_is_nothing_to_map()
    {
        var web = WebApplication.CreateSlimBuilder().Build();

        var refused = Assert.Throws<InvalidOperationException>(() => web.MapCaisson());

        Assert.Contains("AddCaisson", refused.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private Task<EmbeddedApp> StartAsync(Action<WebApplication> map) => EmbeddedApp.StartAsync(_folder, caisson => caisson.AddAgent("one", _ => Task.FromResult("1")), web =>
    {
        // As if it came from another machine.
        web.Use((http, next) =>
        {
            if (http.Request.Headers["X-From"] is [{ } from])
                http.Connection.RemoteIpAddress = IPAddress.Parse(from);
            return next(http);
        });
        web.UseAuthorization();
        web.MapGet("/own", () => "mine");
        web.MapPost("/own", async (HttpRequest request) =>
        {
            using var bytes = new MemoryStream();
            await request.Body.CopyToAsync(bytes);
            return bytes.Length.ToString(global::System.Globalization.CultureInfo.InvariantCulture);
        });
        map(web);
    });

    private static async Task<HttpResponseMessage> GetAsync(EmbeddedApp app, string path, string host, string? from = null, string? origin = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Host = host;
        if (from is not null)
            request.Headers.Add("X-From", from);
        if (origin is not null)
            request.Headers.Add("Origin", origin);
        return await app.Http.SendAsync(request);
    }
}
