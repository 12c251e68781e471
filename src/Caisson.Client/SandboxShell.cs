using System.Net.WebSockets;
using System.Text.Json;
using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>A terminal in a live box. Disposing of it kills its command.</summary>
public sealed class SandboxShell : IAsyncDisposable
{
    private const int MaxFrame = 16 * 1024;
    private static readonly TimeSpan PingEvery = TimeSpan.FromSeconds(20);

    private readonly HttpResponseMessage _answer;
    private readonly WebSocket _socket;
    private readonly SemaphoreSlim _sending = new(1);

    internal SandboxShell(HttpResponseMessage answer, Stream stream) => (_answer, _socket) = (answer,
        WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { KeepAliveInterval = PingEvery, KeepAliveTimeout = PingEvery }));

    /// <summary>What the terminal shows next, in a buffer of the caller's; 0 at the end.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var got = await _socket.ReceiveAsync(buffer, cancellationToken);
                if (got.MessageType == WebSocketMessageType.Close)
                {
                    await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellationToken);
                    return 0;
                }

                if (got.Count > 0)
                    return got.Count;
            }
        }
        catch (WebSocketException)
        {
            // The connection broke: there is no end that could be told.
            return 0;
        }
    }

    /// <summary>How the command ended, once <see cref="ReadAsync"/> has answered 0; <c>null</c> where the connection broke first.</summary>
    public SandboxShellEnd? End
    {
        get
        {
            try
            {
                return _socket.CloseStatusDescription is { } reason ? JsonSerializer.Deserialize(reason, SandboxJson.Default.SandboxShellEnd) : null;
            }
            catch (JsonException)
            {
                return null;
            }
        }
    }

    /// <summary>Types.</summary>
    public async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        for (; bytes.Length > 0; bytes = bytes[Math.Min(bytes.Length, MaxFrame)..])
            await SendAsync(bytes[..Math.Min(bytes.Length, MaxFrame)], WebSocketMessageType.Binary, cancellationToken);
    }

    public Task ResizeAsync(SandboxShellSize size, CancellationToken cancellationToken) =>
        SendAsync(JsonSerializer.SerializeToUtf8Bytes(size, SandboxJson.Default.SandboxShellSize), WebSocketMessageType.Text, cancellationToken);

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        _answer.Dispose();
        _sending.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes, WebSocketMessageType type, CancellationToken cancellationToken)
    {
        await _sending.WaitAsync(cancellationToken);
        try
        {
            if (_socket.State == WebSocketState.Open)
                await _socket.SendAsync(bytes, type, endOfMessage: true, cancellationToken);
        }
        catch (WebSocketException)
        {
            // The end shows where it is read.
        }
        finally
        {
            _sending.Release();
        }
    }
}
