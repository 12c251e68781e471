using System.Net.WebSockets;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.WebSockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Caisson.Server.Http;

/// <summary>
/// A terminal in a live box, over a WebSocket. Binary frames are the terminal's bytes, both ways; a text frame of the
/// client is its terminal's new size; the close frame says how the command ended. Whoever hangs up kills it, and a
/// client that does not answer pings has hung up. The guard against web pages has been passed before: it sits in front
/// of every endpoint.
/// </summary>
internal sealed class SandboxShellEndpoint(SandboxEndpoints finder, ILoggerFactory logs, TimeProvider clock, CancellationToken stopping)
{
    private const int MaxFrame = 16 * 1024;
    private static readonly TimeSpan PingEvery = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(5);
    private static readonly string[][] Shells = [["/bin/bash"], ["/bin/sh"]];

    /// <summary>The framework's middleware serves this endpoint alone: in somebody's application the rest is not ours.</summary>
    internal void Map(IEndpointRouteBuilder routes) => routes.MapGet("/v1/sandboxes/{box}/shell",
        new WebSocketMiddleware(ShellAsync, Options.Create(new WebSocketOptions { KeepAliveInterval = PingEvery, KeepAliveTimeout = PingEvery }), logs).Invoke);

    private async Task ShellAsync(HttpContext http)
    {
        Requests.OnlyQuery(http, "rows", "columns", "term", "arg");
        var size = new TerminalSize((ushort)Requests.Number(http, "rows", 24, ushort.MaxValue), (ushort)Requests.Number(http, "columns", 80, ushort.MaxValue));
        var environment = new Dictionary<string, string> { ["TERM"] = (string?)http.Request.Query["term"] ?? "xterm" };
        string[] command = [.. http.Request.Query["arg"].OfType<string>()];
        if (!http.WebSockets.IsWebSocketRequest)
            throw new BadHttpRequestException("a shell is a WebSocket: ask with 'Upgrade: websocket', as 'caisson sandbox shell' does");
        await finder.WithBoxAsync(http, box => RunAsync(http, box, command.Length > 0 ? [command] : Shells, environment, size));
    }

    private async Task RunAsync(HttpContext http, ISandbox box, string[][] commands, Dictionary<string, string> environment, TerminalSize size)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, stopping);
        await using var visit = box.Visit();
        TerminalOutcome outcome = new TerminalOutcome.NotStarted(new Failure(ErrorCodes.Internal, "no command"));
        foreach (var command in commands)
        {
            outcome = await box.OpenTerminalAsync(new TerminalRequest(command, null, environment, size), over.Token);
            if (outcome is not TerminalOutcome.NotStarted)
                break;
        }

        if (outcome is not TerminalOutcome.Opened opened)
        {
            await Problems.WriteAsync(http, outcome is TerminalOutcome.Lost lost ? lost.Failure : ((TerminalOutcome.NotStarted)outcome).Failure);
            return;
        }

        await using var terminal = opened.Terminal;
        using var socket = await http.WebSockets.AcceptWebSocketAsync();
        try
        {
            var typing = TypeAsync(socket, terminal, over.Token);
            var showing = ShowAsync(socket, terminal, over.Token);
            if (await Task.WhenAny(typing, showing) == typing)
            {
                await over.CancelAsync();
                await typing;
            }
            else
            {
                await showing;
                await CloseAsync(socket, await terminal.Ended, over.Token);
                // Until the client has closed too: a connection that ends before could take the reason with it.
                await typing.WaitAsync(CloseLimit, clock, over.Token);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException or TimeoutException)
        {
            // The connection broke, the client does not close, or the server stops; the terminal goes with this method.
            socket.Abort();
        }
    }

    private static async Task ShowAsync(WebSocket socket, ISandboxTerminal terminal, CancellationToken cancellationToken)
    {
        await foreach (var bytes in terminal.ReadAsync(cancellationToken))
            await socket.SendAsync(bytes, WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
    }

    /// <summary>Until the client closes.</summary>
    private static async Task TypeAsync(WebSocket socket, ISandboxTerminal terminal, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxFrame];
        while (await socket.ReceiveAsync(buffer.AsMemory(), cancellationToken) is var got && got.MessageType != WebSocketMessageType.Close)
        {
            var bytes = buffer.AsMemory(0, got.Count);
            if (got.MessageType == WebSocketMessageType.Binary)
                await terminal.WriteAsync(bytes, cancellationToken);
            else if (got.EndOfMessage && Size(bytes.Span) is { } size)
                await terminal.ResizeAsync(size, cancellationToken);
            else
                throw new WebSocketException(WebSocketError.InvalidMessageType);
        }
    }

    private static TerminalSize? Size(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, SandboxJson.Default.SandboxShellSize) is { } size ? new TerminalSize(size.Rows, size.Columns) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static async Task CloseAsync(WebSocket socket, TerminalEnd end, CancellationToken cancellationToken)
    {
        var reason = JsonSerializer.Serialize(new SandboxShellEnd(end.ExitCode, end.Failure?.Code), SandboxJson.Default.SandboxShellEnd);
        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, reason, cancellationToken);
    }
}
