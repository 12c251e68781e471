using System.Buffers;
using Caisson.Core.Journal;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Processes;

/// <summary>One attempt of a program's call at its upstream: the request as it is, its answer piece by piece.</summary>
/// <param name="note">A word to the model that the program does not see.</param>
internal sealed class Relay(Upstream upstream, string model, WireCall call, IReadOnlyList<(string Name, string Value)> headers, string? note, LiveCall live, IStepLog log)
{
    /// <summary>An answer is held in memory until it is recorded.</summary>
    private const int MostBytes = 15 << 20;
    private const int PieceBytes = 64 << 10;

    /// <summary>What the provider refused with, where it did.</summary>
    public LiveEnd.Refused? Refusal { get; private set; }

    /// <param name="output">The bound of the output in force.</param>
    public async Task<(UpstreamReply Reply, PaidResult Paid)> SendAsync(StepKey key, int attempt, int output, CancellationToken cancellationToken)
    {
        live.Forget();
        var (path, body) = upstream.Provider.Write(call, model, output);
        if (note is not null && call.Say(note) is var (field, element))
            body = Body.Append(body, field, element);
        PaidResult paid = default;
        var reply = await upstream.RelayAsync(path, body, headers, key, attempt, log, async (response, cancellation) =>
        {
            (var answer, paid) = await ReadAsync(response, body.Length, cancellation);
            return answer;
        }, (status, contentType, text) => Refusal = new LiveEnd.Refused(status, contentType, text), cancellationToken);
        if (reply is UpstreamReply.Failed { Retry: not RetryClass.Never } failed && live.IsShown)
            reply = failed with { Retry = RetryClass.Never, MaybeBilled = true };
        return (reply, paid);
    }

    private async Task<(UpstreamReply Reply, PaidResult Paid)> ReadAsync(HttpResponseMessage response, int requestBytes, CancellationToken cancellationToken)
    {
        var contentType = response.Content.Headers.ContentType?.ToString();
        var status = (int)response.StatusCode;
        live.Begin(status, contentType);
        var reader = call.Wire.Follow(call);
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        var buffer = ArrayPool<byte>.Shared.Rent(PieceBytes);
        var output = new ArrayBufferWriter<byte>();
        try
        {
            for (var total = 0L; ;)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(0, PieceBytes), cancellationToken);
                if (read == 0)
                    break;
                if ((total += read) > MostBytes)
                    return (upstream.Malformed($"more than {MostBytes >> 20} MiB"), default);
                reader.Take(buffer.AsSpan(0, read), output);
                Flush();
            }

            var end = reader.End(output);
            Flush();
            if (!end.IsWhole)
                return (upstream.Malformed(end.Problem ?? "an answer that is not whole"), default);
            var usage = end.Usage ?? CallBounds.EstimateBytes(requestBytes, reader.OutputBytes);
            var result = RecordedExchange.Of(call, status, contentType, live.Pieces).Encode();
            return (new UpstreamReply.Relayed(), new PaidResult(result, call.IsBilled ? usage : new TokenUsage(0, 0)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        void Flush()
        {
            if (output.WrittenCount == 0)
                return;
            live.Add(output.WrittenSpan.ToArray(), reader.MayBeWhole);
            output.ResetWrittenCount();
        }
    }
}
