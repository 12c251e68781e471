using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Processes;
using Caisson.Gateway.Wires.Keys;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace Caisson.Gateway.Mcp;

/// <summary>
/// One server of one ownership of a run: its definitions and its calls, each a step.
/// <para>
/// Problem: a server may hold state in memory, and may die while the run lives; and the run may be taken over, which no
/// server outlives. States: not connected → connected → lost. Invariants: a connection is opened by the first step that
/// needs one and serves every start of the program; what it lists is what the run has recorded, or no call is made over
/// it; where recorded calls have made a state and nothing holds it any more, one call is told so before a new one begins.
/// </para>
/// </summary>
/// <param name="open">Makes a connection; may something leave on its behalf, is asked by the function that it is given.</param>
internal sealed class McpServer(McpServerSettings settings, IProcessRun run, TimeProvider clock, Func<Func<bool>, CancellationToken, Task<McpLink>> open) : IAsyncDisposable
{
    /// <summary>Member of <c>_meta</c> of every call.</summary>
    public const string IdempotencyKey = "caisson/idempotency_key";

    private const int MostArguments = 2_000;

    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(1);

    private readonly SemaphoreSlim _one = new(1, 1);
    private McpLink? _link;
    private int _atWork;

    /// <summary>What the program is told of the server, or why nothing can be.</summary>
    public async Task<(McpDefinitions? Definitions, Failure? Failure)> DefinitionsAsync(CancellationToken patience)
    {
        var step = new ProcessStep(StepKind.Named, $"mcp {settings.Name}", StepHash.Of("mcp definitions", settings.Name), null);
        var record = await run.Tools.RunAsync(step, 0, context => AtWorkAsync(async () => (await ConnectAsync(null, context.Cancellation)).Definitions.Write()), patience);
        return record.Failure is { } failure ? (null, failure)
            : McpDefinitions.Read(record.Result.Span) is { } known ? (known, null)
            : throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the definitions of MCP server '{settings.Name}' in entry {record.Seq} are not readable");
    }

    public static string IdentityOf(string server, string tool, JsonElement arguments) => StepHash.Of("mcp call", server, tool, Canonical.HashOf(arguments));

    /// <exception cref="McpProtocolException">The server refused the call.</exception>
    public async Task<CallToolResult> CallAsync(McpDefinitions pinned, string tool, JsonElement arguments, int nth, CancellationToken patience)
    {
        var how = settings.Of(tool);
        var step = new ProcessStep(StepKind.Tool, McpState.StepName(settings.Name, tool), IdentityOf(settings.Name, tool, arguments), Shown(arguments))
        {
            Effect = (EffectClass)how.Effect,
            OnUnknown = how.OnUnknown switch { McpUnknown.AskHuman => UnknownPolicy.AskHuman, McpUnknown.Fail => UnknownPolicy.Fail, _ => UnknownPolicy.Report },
            Question = how.Approval == McpApproval.Always ? $"tool {tool} of MCP server {settings.Name}" : null,
        };
        return McpAnswer.Read(await run.Tools.RunAsync(step, nth, context => AtWorkAsync(() => ExecuteAsync(how, pinned, tool, arguments, context)), patience));
    }

    private async Task<JsonElement> ExecuteAsync(McpToolSettings how, McpDefinitions pinned, string tool, JsonElement arguments, StepContext step)
    {
        var link = await ConnectAsync(pinned, step.Cancellation);
        var asked = new CallToolRequestParams
        {
            Name = tool,
            Arguments = arguments.EnumerateObject().ToDictionary(p => p.Name, p => p.Value, StringComparer.Ordinal),
            Meta = new JsonObject { [IdempotencyKey] = step.IdempotencyKey },
        };
        var timeout = settings.Timeout ?? DefaultTimeout;
        using var limit = new CancellationTokenSource(timeout, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, step.Cancellation);
        link.BeginCall();
        try
        {
            return McpAnswer.Of(await link.Client.CallToolAsync(asked, both.Token));
        }
        catch (McpProtocolException refusal)
        {
            return McpAnswer.Of(refusal);
        }
        catch (HttpRequestException problem) when (McpLink.IsRefusal(problem))
        {
            // Of a session that the server does not know any more nothing is left.
            if (problem.StatusCode != HttpStatusCode.NotFound)
                throw new StepFailedException(new Failure(ErrorCodes.McpUnavailable, $"MCP server '{settings.Name}' refuses: {problem.Message}"));
            link.Forget();
            throw new StepFailedException(Lost("it does not know the session any more") with { Retryable = settings.Stateless });
        }
        catch (Exception problem) when (how.Effect != McpEffect.AtMostOnce && !step.Cancellation.IsCancellationRequested)
        {
            throw new StepFailedException(limit.IsCancellationRequested
                ? new Failure(ErrorCodes.StepTimeout, $"tool '{tool}' of MCP server '{settings.Name}' did not answer within {Durations.Text(timeout)}")
                : Lost(link.IsAlive ? problem.Message : link.Ended) with { Retryable = settings.Stateless });
        }
        catch (Exception problem) when (!step.Cancellation.IsCancellationRequested)
        {
            // The engine asks what became of it; this is what people read.
            throw new IOException(limit.IsCancellationRequested ? $"no answer within {Durations.Text(timeout)}" : link.IsAlive ? problem.Message : link.Ended, problem);
        }
    }

    /// <param name="pinned">What the run has recorded; <c>null</c> where nothing yet.</param>
    private async Task<McpLink> ConnectAsync(McpDefinitions? pinned, CancellationToken cancellationToken)
    {
        await _one.WaitAsync(cancellationToken);
        try
        {
            if (_link is { IsAlive: true } alive)
                return alive;
            var ended = _link?.Ended;
            if (_link is { } lost)
            {
                _link = null;
                await lost.DisposeAsync();
            }

            if (McpState.IsHeld(settings, run.Recorded))
                throw new StepFailedException(Lost(ended ?? "it ended with an earlier owner of the run"));
            var link = await open(() => Volatile.Read(ref _atWork) > 0, cancellationToken);
            if (pinned is not null && link.Definitions.Hash != pinned.Hash)
            {
                await link.DisposeAsync();
                throw new StepFailedException(new Failure(ErrorCodes.McpDrift, $"MCP server '{settings.Name}' lists other tools than the run has recorded ({pinned.Hash[..12]}, now {link.Definitions.Hash[..12]}): the call was not made"));
            }

            return _link = link;
        }
        finally
        {
            _one.Release();
        }
    }

    private Failure Lost(string how) => new(ErrorCodes.McpLost,
        $"MCP server '{settings.Name}' was lost ({how}), and with it whatever earlier calls had made it remember; the next call begins with a new one");

    private async Task<T> AtWorkAsync<T>(Func<Task<T>> work)
    {
        Interlocked.Increment(ref _atWork);
        try
        {
            return await work();
        }
        finally
        {
            Interlocked.Decrement(ref _atWork);
        }
    }

    private static string Shown(JsonElement arguments)
    {
        var text = arguments.GetRawText();
        return text.Length <= MostArguments ? text : text[..MostArguments] + "…";
    }

    public async ValueTask DisposeAsync()
    {
        if (_link is { } link)
            await link.DisposeAsync();
        _one.Dispose();
    }
}
