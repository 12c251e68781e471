using System.Globalization;
using System.Text;

namespace Caisson.Gateway.Egress.Http;

/// <summary>Answers to the box.</summary>
internal sealed class ResponseWriter(Stream stream)
{
    internal const string DeniedHeader = "Caisson-Denied";
    private const int LongestPhrase = 400;

    /// <summary>Says no. The reason stands in the body; for a CONNECT also behind the status, where clients show it.</summary>
    internal async Task DenyAsync(int status, string code, string reason, bool close, bool withBody, CancellationToken cancellationToken)
    {
        var line = Plain(reason);
        var body = Encoding.ASCII.GetBytes(line + "\n");
        var phrase = line.Length > LongestPhrase ? line[..LongestPhrase] : line;
        var head = string.Create(CultureInfo.InvariantCulture,
            $"HTTP/1.1 {status} {phrase}\r\n{DeniedHeader}: {code}\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: {body.Length}\r\nConnection: {(close ? "close" : "keep-alive")}\r\n\r\n");
        await WriteAsync((byte[])[.. Encoding.ASCII.GetBytes(head), .. withBody ? body : []], cancellationToken);
    }

    internal Task EstablishedAsync(CancellationToken cancellationToken) => WriteAsync("HTTP/1.1 200 Connection Established\r\n\r\n"u8.ToArray(), cancellationToken);

    internal Task ContinueAsync(CancellationToken cancellationToken) => WriteAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray(), cancellationToken);

    internal Task HeadAsync(int status, IEnumerable<HeaderLine> headers, CancellationToken cancellationToken)
    {
        // The phrase is ours: the server's own would be one more place to say a secret.
        var head = new StringBuilder("HTTP/1.1 ").Append(status).Append(' ').Append((System.Net.HttpStatusCode)status).Append("\r\n");
        foreach (var header in headers)
            head.Append(header.Name).Append(": ").Append(OneLine(header.Value)).Append("\r\n");
        return WriteAsync(Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()), cancellationToken);
    }

    internal async Task ChunkAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (bytes.Length == 0)
            return;
        await WriteAsync((byte[])[.. Encoding.ASCII.GetBytes(bytes.Length.ToString("x", CultureInfo.InvariantCulture)), .. "\r\n"u8, .. bytes.Span, .. "\r\n"u8], cancellationToken);
    }

    internal Task LastChunkAsync(CancellationToken cancellationToken) => WriteAsync("0\r\n\r\n"u8.ToArray(), cancellationToken);

    internal async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await stream.WriteAsync(bytes, cancellationToken);
        await stream.FlushAsync(cancellationToken);
    }

    private static string OneLine(string value) => value.AsSpan().IndexOfAny('\r', '\n', '\0') < 0 ? value : string.Concat(value.Select(c => c is '\r' or '\n' or '\0' ? ' ' : c));

    private static string Plain(string text) => string.Concat(text.Select(c => c is >= ' ' and < (char)127 ? c : '?'));
}
