using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using Caisson.Contracts;

namespace Caisson.Client;

public sealed partial class CaissonClient
{
    private static readonly TimeSpan VerifyLimit = TimeSpan.FromMinutes(30);

    /// <summary>Sends a signal; durable when it returns. With an id, a second one is the first, and answered as existing.</summary>
    /// <param name="data">JSON.</param>
    public Task<(RunView Run, bool Existing)> SignalAsync(string run, string name, ReadOnlyMemory<byte> data, string? id, string? by, CancellationToken cancellationToken)
    {
        var body = new ReadOnlyMemoryContent(data) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        return PostContentAsync($"{RunPath(run)}/signals/{Uri.EscapeDataString(name)}{(by is null ? "" : $"?by={Uri.EscapeDataString(by)}")}", body, id, cancellationToken);
    }

    /// <summary>Open approvals of one run.</summary>
    public Task<ApprovalPage> ListApprovalsAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/approvals", OperationsJson.Default.ApprovalPage, cancellationToken);

    /// <summary>Open approvals of all live runs, page by page.</summary>
    public async IAsyncEnumerable<ApprovalView> ListApprovalsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? next = null;
        do
        {
            var page = await GetAsync($"v1/approvals{(next is null ? "" : $"?cursor={Uri.EscapeDataString(next)}")}", OperationsJson.Default.ApprovalPage, cancellationToken);
            foreach (var approval in page.Items)
                yield return approval;
            next = page.Next;
        }
        while (next is not null);
    }

    public Task<RunView> DecideAsync(string run, DecisionRequest decision, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/approvals", decision, OperationsJson.Default.DecisionRequest, cancellationToken);

    /// <summary>What a run's boxes reached, or were kept from.</summary>
    public Task<EgressList> ListEgressAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/egress", OperationsJson.Default.EgressList, cancellationToken);

    /// <summary>Steps of unknown outcome that nobody has settled.</summary>
    public Task<UnknownSteps> ListUnknownsAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/unknowns", OperationsJson.Default.UnknownSteps, cancellationToken);

    public Task<RunView> ResolveAsync(string run, ResolveRequest request, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/unknowns", request, OperationsJson.Default.ResolveRequest, cancellationToken);

    public Task<RunView> RetryAsync(string run, string? by, CancellationToken cancellationToken) =>
        PostAsync($"{RunPath(run)}/retry", new RetryRequest(by), OperationsJson.Default.RetryRequest, cancellationToken);

    /// <summary>Starts another run that goes on from a place in this one.</summary>
    public Task<(RunView Run, bool Existing)> ForkAsync(string run, ForkRequest request, string? idempotencyKey, CancellationToken cancellationToken) =>
        PostContentAsync($"{RunPath(run)}/fork", JsonBody(request, OperationsJson.Default.ForkRequest), idempotencyKey, cancellationToken);

    public Task<KillSwitchView> ListKillSwitchesAsync(CancellationToken cancellationToken) =>
        GetAsync("v1/kill-switches", OperationsJson.Default.KillSwitchView, cancellationToken);

    /// <summary>Stops everything, a tenant or an agent; durable when it returns.</summary>
    /// <param name="target"><c>all</c>, <c>tenant:NAME</c> or <c>agent:NAME</c>.</param>
    public Task<KillSwitchView> SetKillSwitchAsync(string target, KillRequest request, CancellationToken cancellationToken) =>
        KillSwitchAsync(HttpMethod.Put, KillSwitchPath(target), JsonBody(request, OperationsJson.Default.KillRequest), cancellationToken);

    /// <summary>Lifts an order.</summary>
    /// <param name="resume">Whether runs that it paused go on.</param>
    public Task<KillSwitchView> LiftKillSwitchAsync(string target, bool resume, string? by, CancellationToken cancellationToken) =>
        KillSwitchAsync(HttpMethod.Delete, $"{KillSwitchPath(target)}?resume={(resume ? "true" : "false")}{(by is null ? "" : $"&by={Uri.EscapeDataString(by)}")}", null, cancellationToken);

    private async Task<KillSwitchView> KillSwitchAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(method, path) { Content = content };
        using var answer = await SendAsync(message, cancellationToken);
        return await ReadAsync(answer, OperationsJson.Default.KillSwitchView, cancellationToken);
    }

    private static string KillSwitchPath(string target) => $"v1/kill-switches/{Uri.EscapeDataString(target)}";

    /// <param name="node"><c>tenant:NAME</c>, or a run.</param>
    public Task<BudgetView> GetBudgetAsync(string node, CancellationToken cancellationToken) =>
        GetAsync($"v1/budgets/{Uri.EscapeDataString(node)}", OperationsJson.Default.BudgetView, cancellationToken);

    /// <summary>Sets caps. A tenant's count at once; a run's when its owner has taken them up.</summary>
    public async Task<BudgetView> SetBudgetAsync(string node, BudgetChangeRequest change, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Put, $"v1/budgets/{Uri.EscapeDataString(node)}") { Content = JsonBody(change, OperationsJson.Default.BudgetChangeRequest) };
        using var answer = await SendAsync(message, cancellationToken);
        return await ReadAsync(answer, OperationsJson.Default.BudgetView, cancellationToken);
    }

    public Task<WasteList> GetWasteAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/waste", OperationsJson.Default.WasteList, cancellationToken);

    /// <summary>Holds a run's journal against the engine's invariants. The server reads every blob for it, so a long one takes its time.</summary>
    public async Task<VerifyView> VerifyAsync(string run, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, $"{RunPath(run)}/verify");
        using var answer = await SendAsync(message, cancellationToken, VerifyLimit);
        return await ReadAsync(answer, OperationsJson.Default.VerifyView, cancellationToken);
    }

    public Task<WhyView> WhyAsync(string run, CancellationToken cancellationToken) =>
        GetAsync($"{RunPath(run)}/why", OperationsJson.Default.WhyView, cancellationToken);

    /// <summary>Everything that is known of a run, as one JSON document, written to a stream as it comes.</summary>
    public async Task BundleAsync(string run, bool payloads, Stream output, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, $"{RunPath(run)}/bundle?payloads={(payloads ? "true" : "false")}");
        using var answer = await SendAsync(message, cancellationToken);
        try
        {
            await answer.Content.CopyToAsync(output, cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw Unreachable(http, e);
        }
    }
}
