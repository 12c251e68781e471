using System.Diagnostics;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Peers;

/// <summary>A worker process that says <c>ready</c> and then answers each line with one line.</summary>
internal sealed class LineWorker : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    private readonly Process _process;

    private LineWorker(Process process) => _process = process;

    internal int Id => _process.Id;

    internal static async Task<LineWorker> StartAsync(ProcessStartInfo start)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput) = (true, true);
        var worker = new LineWorker(Children.Start(start));
        var first = await worker.ReadAsync();
        return first == "ready" ? worker : throw new InvalidOperationException($"a worker began with: {first}");
    }

    internal async Task<string> AskAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
        return await ReadAsync();
    }

    private async Task<string> ReadAsync()
    {
        using var late = new CancellationTokenSource(Limit);
        return await _process.StandardOutput.ReadLineAsync(late.Token) ?? throw new InvalidOperationException("a worker ended");
    }

    public async ValueTask DisposeAsync() => await Children.EndAsync(_process);
}
