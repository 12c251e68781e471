using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Http;

[Collection(nameof(SharedServer))]
public sealed class ApiTests(SharedServer shared)
{
    private readonly ServerProcess _server = shared.Server;

    [Theory]
    [InlineData("evil.example", null)]
    [InlineData("127.0.0.1.evil.example", null)]
    [InlineData("localhost", "http://evil.example")]
    [InlineData("localhost", "null")]
    public async Task Web_pages_are_kept_out(string host, string? origin)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/runs");
        request.Headers.Host = host;
        if (origin is not null)
            request.Headers.TryAddWithoutValidation("Origin", origin);

        using var answer = await _server.Http.SendAsync(request);

        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Equal("not_allowed", (await ProblemAsync(answer)).Code);
    }

    [Theory]
    [InlineData("""{"manifest":"x","input":"y","surprise":1}""", "surprise")]
    [InlineData("""{"manifest":"x"}""", "input")]
    [InlineData("""{"manifest":"x","manifest":"z","input":"y"}""", "manifest")]
    [InlineData("""not json""", "body")]
    public async Task A_body_that_is_not_understood_is_refused(string body, string says)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");

        using var answer = await _server.Http.PostAsync(new Uri("v1/runs", UriKind.Relative), content);

        var problem = await ProblemAsync(answer);
        Assert.Equal((HttpStatusCode.BadRequest, "request_invalid"), (answer.StatusCode, problem.Code));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_over_the_cap_is_refused()
    {
        using var content = new ByteArrayContent(new byte[9 << 20]);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");

        // It is refused by its length: a client that asks first never sends it.
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/runs") { Content = content };
        request.Headers.ExpectContinue = true;
        using var answer = await _server.Http.SendAsync(request);

        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "payload_too_large"), (answer.StatusCode, (await ProblemAsync(answer)).Code));
    }

    [Theory]
    [InlineData("v1/runs/0194f2c8-0000-7000-8000-000000000000", 404, "run_not_found")]
    [InlineData("v1/runs/zzz", 404, "run_not_found")]
    [InlineData("v1/nothing", 404, "request_invalid")]
    [InlineData("v1/runs?colour=red", 400, "request_invalid")]
    [InlineData("v1/runs?limit=-1", 400, "request_invalid")]
    [InlineData("v1/runs?status=sleeping", 400, "request_invalid")]
    public async Task Errors_are_problems_with_a_stable_code(string path, int status, string code)
    {
        using var answer = await _server.Http.GetAsync(new Uri(path, UriKind.Relative));

        var problem = await ProblemAsync(answer);
        Assert.Equal((status, code), ((int)answer.StatusCode, problem.Code));
        Assert.Equal("nosniff", answer.Headers.GetValues("X-Content-Type-Options").Single());
    }

    [Fact]
    public async Task The_same_key_starts_one_run_only()
    {
        var request = new CreateRunRequest(ServerProcess.Manifest, "agent.yaml", "once");

        var (first, existed) = await _server.Client.CreateRunAsync(request, "key-1", CancellationToken.None);
        var (second, exists) = await _server.Client.CreateRunAsync(request, "key-1", CancellationToken.None);
        var other = await Assert.ThrowsAsync<ApiException>(() => _server.Client.CreateRunAsync(request with { Input = "twice" }, "key-1", CancellationToken.None));

        Assert.Equal((false, true), (existed, exists));
        Assert.Equal(first.Id, second.Id);
        Assert.Equal((409, "idempotency_mismatch"), (other.Problem.Status, other.Problem.Code));
    }

    [Fact]
    public async Task A_new_run_says_where_it_is()
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(new CreateRunRequest(ServerProcess.Manifest, null, "x"), ApiJson.Default.CreateRunRequest);
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");

        using var answer = await _server.Http.PostAsync(new Uri("v1/runs", UriKind.Relative), content);

        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        Assert.StartsWith("/v1/runs/", answer.Headers.Location!.ToString(), StringComparison.Ordinal);
        using var found = await _server.Http.GetAsync(answer.Headers.Location);
        Assert.Equal(HttpStatusCode.OK, found.StatusCode);
    }

    [Fact]
    public async Task Lists_page_by_cursor_and_filter_by_agent()
    {
        var manifest = ServerProcess.Manifest.Replace("talker", "paged", StringComparison.Ordinal);
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add(await _server.CreateAsync(manifest));

        var first = await _server.Client.ListRunsAsync(new RunQuery([], "paged", null, 2), CancellationToken.None);
        var second = await _server.Client.ListRunsAsync(new RunQuery([], "paged", first.Next, 2), CancellationToken.None);

        ids.Reverse();
        Assert.Equal(ids, first.Items.Concat(second.Items).Select(r => r.Id));
        Assert.Null(second.Next);
    }

    [Fact]
    public async Task A_prefix_names_a_run_as_long_as_only_one_fits()
    {
        var first = await _server.CreateAsync(ServerProcess.Manifest);
        await _server.CreateAsync(ServerProcess.Manifest);

        var found = await _server.Client.GetRunAsync(first[..30], CancellationToken.None);
        var ambiguous = await Assert.ThrowsAsync<ApiException>(() => _server.Client.GetRunAsync(first[..5], CancellationToken.None));

        Assert.Equal(first, found.Id);
        Assert.Equal("run_conflict", ambiguous.Problem.Code);
    }

    [Fact]
    public async Task Words_of_the_api_are_lower_case()
    {
        var id = await _server.CreateAsync(ServerProcess.Manifest);
        await foreach (var _ in _server.Client.FollowAsync(id, new FollowOptions(), CancellationToken.None))
        {
        }

        var json = await _server.Http.GetStringAsync(new Uri($"v1/runs/{id}", UriKind.Relative));

        Assert.Contains("\"status\":\"completed\"", json, StringComparison.Ordinal);
    }

    private static async Task<Problem> ProblemAsync(HttpResponseMessage answer)
    {
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        return JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(), ApiJson.Default.Problem)!;
    }
}
