using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Processes;
using Caisson.Core.Sandboxes;
using Microsoft.Extensions.Logging;
using ModelContextProtocol;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace Caisson.Gateway.Mcp;

/// <summary>One connection to a server, from its start to its loss; a program's box goes with it.</summary>
internal sealed class McpLink : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(1);

    private readonly BoxProgram? _program;
    private readonly Func<ValueTask> _close;
    private volatile bool _isForgotten;

    private McpLink(McpClient client, McpDefinitions definitions, BoxProgram? program, Func<ValueTask> close)
    {
        (Client, Definitions, _program, _close) = (client, definitions, program, close);
    }

    public McpClient Client { get; }

    public McpDefinitions Definitions { get; }

    public bool IsAlive => !_isForgotten && !Client.Completion.IsCompleted && _program?.Ended is null;

    /// <summary>How it was lost, for people.</summary>
    public string Ended => _program?.Ended ?? "the connection broke";

    /// <summary>A program in a box of its own.</summary>
    /// <exception cref="StepFailedException">There is no box, or no server in it.</exception>
    public static async Task<McpLink> StartAsync(McpServerSettings server, IProcessTools tools, Func<bool> isAtWork, TimeProvider clock, ILoggerFactory logs, CancellationToken cancellationToken)
    {
        var box = await tools.OpenBoxAsync(isAtWork, cancellationToken) switch
        {
            SandboxCreateOutcome.Started started => started.Sandbox,
            SandboxCreateOutcome.Refused refused => throw new StepFailedException(refused.Failure with { Retryable = true }),
            _ => throw new InvalidOperationException("unreachable"),
        };
        var program = new BoxProgram(box, server.Command!, server.Environment ?? new Dictionary<string, string>(), logs);
        return await OpenAsync(server, program, program, CloseAsync, clock, logs, cancellationToken);

        async ValueTask CloseAsync()
        {
            await tools.CloseBoxAsync(box);
            await program.DisposeAsync();
        }
    }

    /// <param name="close">Of what the connection stands on; called also where there comes none.</param>
    public static async Task<McpLink> OpenAsync(McpServerSettings server, IClientTransport transport, BoxProgram? program, Func<ValueTask> close, TimeProvider clock, ILoggerFactory logs, CancellationToken cancellationToken)
    {
        McpClient? client = null;
        using var limit = new CancellationTokenSource(StartLimit, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken, program?.Gone ?? default);
        try
        {
            var options = new McpClientOptions { ClientInfo = new Implementation { Name = "caisson", Version = "1" }, InitializationTimeout = StartLimit };
            client = await McpClient.CreateAsync(transport, options, logs, both.Token);
            return new McpLink(client, await McpDefinitions.AskAsync(client, both.Token), program, close);
        }
        catch (Exception problem) when (problem is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // An address may answer later; a program that does not start does not start the next time either.
            var why = program?.Ended ?? (problem is OperationCanceledException ? $"it did not answer within {StartLimit.TotalSeconds:0} s" : problem.Message);
            if (client is not null)
                await client.DisposeAsync();
            await close();
            throw new StepFailedException(new Failure(ErrorCodes.McpUnavailable, $"MCP server '{server.Name}' cannot be used: {why}", Retryable: program is null && !IsRefusal(problem)));
        }
    }

    /// <summary>What its program writes counts from here.</summary>
    public void BeginCall() => _program?.BeginCall();

    /// <summary>The connection is of no use any more, whatever it says itself: the server has forgotten it.</summary>
    public void Forget() => _isForgotten = true;

    /// <summary>The server, or the wall before it, has answered that it does nothing.</summary>
    public static bool IsRefusal(Exception problem) => problem is HttpRequestException { StatusCode: >= System.Net.HttpStatusCode.BadRequest and < System.Net.HttpStatusCode.InternalServerError };

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        await _close();
    }
}
