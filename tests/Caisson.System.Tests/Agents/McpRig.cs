using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>Plain Python on both sides of the gateway: a server of tools on standard input and output, and programs that call it over HTTP.</summary>
internal static class McpRig
{
    /// <summary>
    /// Keeps a history in memory, and says each call, with its idempotency key, to a ledger outside where it is given one.
    /// </summary>
    internal const string Server = """
        import json, os, socket, sys, time
        history = []
        def text(of, error=False):
            return {"content": [{"type": "text", "text": of}], "isError": error}
        def tool(name, **properties):
            return {"name": name, "description": name, "inputSchema": {"type": "object", "properties": properties}}
        tools = [tool("note", text={"type": "string"}), tool("close", text={"type": "string"}), tool("history"), tool("die"), tool("hang")]
        if os.path.exists("other-tools"):
            tools.append(tool("new"))
        def call(name, arguments, meta):
            if name == "history":
                return text(" ".join(history))
            line = name + " " + arguments.get("text", "")
            history.append(line)
            if "LEDGER" in os.environ:
                with socket.create_connection(("127.0.0.1", int(os.environ["LEDGER"]))) as ledger:
                    ledger.sendall((line + "|" + meta.get("caisson/idempotency_key", "none") + "\n").encode())
                    ledger.shutdown(socket.SHUT_WR)
                    ledger.recv(1)
            if name == "die":
                sys.exit(9)
            if name == "hang":
                time.sleep(600)
            return text("done " + line)
        for line in sys.stdin:
            asked = json.loads(line)
            if "id" not in asked:
                continue
            method, params = asked["method"], asked.get("params", {})
            answer = {"jsonrpc": "2.0", "id": asked["id"]}
            if method == "initialize":
                answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "notes", "version": "7"}, "instructions": "Take notes."}
            elif method == "tools/list":
                answer["result"] = {"tools": tools}
            elif method == "tools/call":
                answer["result"] = call(params["name"], params.get("arguments", {}), params.get("_meta", {}))
            else:
                answer["error"] = {"code": -32601, "message": "no such method"}
            print(json.dumps(answer), flush=True)
        """;

    /// <summary>What programs call tools with.</summary>
    private const string Client = """
        import json, os, sys, urllib.request, urllib.error
        def rpc(method, params, server="notes"):
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
            request = urllib.request.Request(os.environ["CAISSON_URL"] + "/mcp/" + server, body, {"content-type": "application/json", "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"})
            try:
                text = urllib.request.urlopen(request).read().decode()
            except urllib.error.HTTPError as problem:
                return {"status": problem.code, "text": problem.read().decode()}
            events = [line[5:] for line in text.splitlines() if line.startswith("data:")]
            answer = json.loads(events[-1] if events else text)
            return answer["result"] if "result" in answer else answer["error"]
        def call(name, server="notes", **arguments):
            answer = rpc("tools/call", {"name": name, "arguments": arguments}, server)
            if "content" not in answer:
                return "refused: " + answer.get("message", answer.get("text", ""))
            return ("error: " + answer["_meta"]["caisson/code"] if answer.get("isError") else answer["content"][0]["text"])

        """;

    /// <param name="program">Python that uses <c>rpc</c> and <c>call</c>.</param>
    /// <param name="server">Settings of the server <c>notes</c>.</param>
    internal static string Manifest(string program, string server = "", string more = "") => $$"""
        name: caller
        process: { command: [python3, -c, {{JsonSerializer.Serialize(Client + program)}}] }
        sandbox: { memory: 256MiB, disk: 32MiB }
        mcp:
          servers:
            notes:
              command: [python3, -u, -c, {{JsonSerializer.Serialize(Server)}}]
              tools: { history: { effect: read } }
              {{server}}
        {{more}}
        """;

    /// <summary>Kills the program alone, in its box, and waits until it runs again in another one.</summary>
    internal static async Task KillProgramAsync(ServerProcess server, string run)
    {
        var boxes = (await BoxesAsync(server, run)).Select(b => b.Id).ToHashSet();
        var exits = await Task.WhenAll(boxes.Select(box => server.RunAsync("sandbox", "exec", box, "--", "pkill", "-KILL", "-f", "CAISSON_URL")));
        Assert.Equal(1, exits.Count(e => e.Exit == 0 || e.Error.Contains("destroyed", StringComparison.Ordinal)));
        await Until.AsyncValue("the program has another box", () => BoxesAsync(server, run), now => now.Any(b => !boxes.Contains(b.Id)));
    }

    internal static async Task<IReadOnlyList<SandboxView>> BoxesAsync(ServerProcess server, string run) =>
        [.. (await server.Client.ListSandboxesAsync(CancellationToken.None)).Sandboxes.Where(b => b.Run == run)];

    internal static Task<RunView> AsksAsync(ServerProcess server, string run) =>
        Until.AsyncValue("it waits for an approval", () => server.Client.GetRunAsync(run, CancellationToken.None), r => r is { Status: RunStatus.Waiting, Waiting: WaitReason.Approval });
}

/// <summary>A service of the host that servers in boxes tell their calls to.</summary>
internal sealed class McpLedger : IDisposable
{
    internal const int BoxPort = 7000;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    internal McpLedger()
    {
        _listener.Start();
        _ = AcceptAsync();
    }

    internal ConcurrentQueue<string> Lines { get; } = new();

    internal string Config => $"[services.ledger]\naddress = \"{_listener.LocalEndpoint}\"\n";

    internal static string Settings => $"env: {{ LEDGER: \"{BoxPort}\" }}";

    internal static string Manifest => $"services: [{{ name: ledger, port: {BoxPort} }}]\n";

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                using var client = await _listener.AcceptTcpClientAsync();
                using var reader = new StreamReader(client.GetStream());
                if (await reader.ReadLineAsync() is { } line)
                    Lines.Enqueue(line);
                await client.GetStream().WriteAsync("."u8.ToArray());
            }
        }
        catch (Exception closed) when (closed is SocketException or ObjectDisposedException or IOException)
        {
            // The test is over.
        }
    }

    public void Dispose() => _listener.Dispose();
}
