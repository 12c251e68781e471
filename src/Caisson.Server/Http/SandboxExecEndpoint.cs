using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Caisson.Server.Http;

/// <summary>A command in a live box, its output line by line as JSON as it comes. Whoever hangs up kills it.</summary>
internal sealed class SandboxExecEndpoint(SandboxEndpoints finder, CancellationToken stopping)
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan LongestTimeout = TimeSpan.FromDays(1);

    internal void Map(IEndpointRouteBuilder routes) => routes.MapPost("/v1/sandboxes/{box}/exec", ExecAsync);

    private async Task ExecAsync(HttpContext http)
    {
        var asked = await Requests.BodyAsync<SandboxExecRequest>(http);
        if (asked.Command is not { Count: > 0 } || asked.Command[0].Length == 0)
            throw new BadHttpRequestException("the body lacks the key 'command': a program and its arguments");
        var timeout = asked.TimeoutSeconds is { } seconds
            ? seconds > 0 && seconds <= LongestTimeout.TotalSeconds ? TimeSpan.FromSeconds(seconds) : throw new BadHttpRequestException($"timeoutSeconds: found {seconds}, allowed is more than 0 and at most {LongestTimeout.TotalSeconds}")
            : DefaultTimeout;
        if (asked.Stdin is { Length: > SandboxExecRequest.MaxStdinBytes } input)
        {
            await Problems.WriteAsync(http, new Failure(ErrorCodes.PayloadTooLarge, $"stdin: found {input.Length} bytes, allowed are {SandboxExecRequest.MaxStdinBytes}: copy a file into the box and have the command read that"));
            return;
        }

        await finder.WithBoxAsync(http, box => RunAsync(http, box, new ExecRequest(
            asked.Command, asked.Directory, asked.Environment ?? new Dictionary<string, string>(), asked.Stdin, timeout, MaxOutputBytes: 0)));
    }

    private async Task RunAsync(HttpContext http, ISandbox box, ExecRequest request)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, stopping);
        await using var visit = box.Visit();
        http.Response.ContentType = "application/x-ndjson";
        await http.Response.Body.FlushAsync(over.Token);
        try
        {
            var outcome = await box.ExecAsync(request with
            {
                Observe = async (chunk, cancellation) =>
                {
                    var bytes = chunk.Bytes.ToArray();
                    await WriteAsync(http, chunk.IsError ? new SandboxExecEvent(Stderr: bytes) : new SandboxExecEvent(Stdout: bytes), cancellation);
                },
            }, over.Token);
            await WriteAsync(http, outcome switch
            {
                ExecOutcome.Exited exited => new SandboxExecEvent(ExitCode: exited.ExitCode),
                ExecOutcome.TimedOut => new SandboxExecEvent(TimedOut: true),
                ExecOutcome.NotStarted not => new SandboxExecEvent(Failure: not.Failure),
                ExecOutcome.Lost lost => new SandboxExecEvent(Failure: lost.Failure),
                _ => throw new InvalidOperationException("unreachable"),
            }, over.Token);
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // Whoever asked has left, or the server stops: without a last line nobody takes this for the command's end.
        }
    }

    private static async ValueTask WriteAsync(HttpContext http, SandboxExecEvent line, CancellationToken cancellationToken)
    {
        await http.Response.Body.WriteAsync((byte[])[.. JsonSerializer.SerializeToUtf8Bytes(line, SandboxJson.Default.SandboxExecEvent), (byte)'\n'], cancellationToken);
        await http.Response.Body.FlushAsync(cancellationToken);
    }
}
