using System.IO.Pipelines;
using System.Text;
using Caisson.Core.Sandboxes;
using Microsoft.Extensions.Logging;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace Caisson.Gateway.Mcp;

/// <summary>A server that is a program in a box, spoken to by its standard input and output, a message a line.</summary>
internal sealed class BoxProgram(ISandbox box, IReadOnlyList<string> command, IReadOnlyDictionary<string, string> environment, ILoggerFactory logs) : IClientTransport, IAsyncDisposable
{
    public const int LongestMessage = 4 << 20;
    private const int MostOutput = 16 << 20;
    private const int KeptOutput = 16 << 10;

    /// <summary>The run's own limits end it earlier; timers hold no more.</summary>
    private static readonly TimeSpan Forever = TimeSpan.FromDays(24);

    private readonly Pipe _input = new();
    private readonly Pipe _output = new();
    private readonly CancellationTokenSource _end = new();
    private readonly CancellationTokenSource _gone = new();
    private Task _running = Task.CompletedTask;
    private int _line;
    private long _written;

    public string Name => command[0];

    /// <summary>Cancelled when it has ended: the SDK does not fail a first request that is sent after the end. What it wrote before may still be unread.</summary>
    public CancellationToken Gone => _gone.Token;

    /// <summary>How it ended, for people; <c>null</c> while it runs.</summary>
    public string? Ended { get; private set; }

    public async Task<ITransport> ConnectAsync(CancellationToken cancellationToken = default)
    {
        _running = Task.Run(RunAsync, CancellationToken.None);
        return await new StreamClientTransport(_input.Writer.AsStream(), _output.Reader.AsStream(), logs).ConnectAsync(cancellationToken);
    }

    /// <summary>What it writes is bounded from one call to the next: a server that never stops would keep the gateway reading.</summary>
    public void BeginCall() => Interlocked.Exchange(ref _written, 0);

    private async Task RunAsync()
    {
        try
        {
            var outcome = await box.ExecAsync(new ExecRequest(command, null, environment, default, Forever, KeptOutput) { Feed = _input.Reader, Observe = TakeAsync }, _end.Token);
            Ended ??= outcome switch
            {
                ExecOutcome.Exited exited => $"it ended with exit code {exited.ExitCode}{LastLine(exited.Error)}",
                ExecOutcome.NotStarted not => not.Failure.Message,
                ExecOutcome.Lost lost => lost.Failure.Message,
                _ => "it ran for longer than a box may",
            };
        }
        catch (OperationCanceledException)
        {
            Ended ??= "it was ended with the run's program";
        }
        finally
        {
            await _output.Writer.CompleteAsync();
            await _input.Reader.CompleteAsync();
            await _gone.CancelAsync();
        }
    }

    private async ValueTask TakeAsync(OutputChunk chunk, CancellationToken cancellationToken)
    {
        if (chunk.IsError)
            return;
        var last = chunk.Bytes.Span.LastIndexOf((byte)'\n');
        _line = last < 0 ? _line + chunk.Bytes.Length : chunk.Bytes.Length - last - 1;
        var written = Interlocked.Add(ref _written, chunk.Bytes.Length);
        if (_line > LongestMessage || written > MostOutput)
        {
            Ended = _line > LongestMessage ? $"it wrote a message of more than {LongestMessage >> 20} MiB" : $"it wrote more than {MostOutput >> 20} MiB without being called again";
            await _end.CancelAsync();
            return;
        }

        // Nobody may read any more; the program is ended by whoever knows that.
        await _output.Writer.WriteAsync(chunk.Bytes, cancellationToken);
    }

    private static string LastLine(BoundedOutput error)
    {
        var lines = Encoding.UTF8.GetString((error.Tail.Length > 0 ? error.Tail : error.Head).Span).TrimEnd().Split('\n');
        return lines[^1].Length == 0 ? "" : $": {(lines[^1].Length <= 300 ? lines[^1] : lines[^1][..300] + "…")}";
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _running;
        _end.Dispose();
        _gone.Dispose();
    }
}
