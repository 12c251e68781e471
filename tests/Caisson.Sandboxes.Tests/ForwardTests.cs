using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

/// <summary>Ports of a box's loopback that lead to services of the host.</summary>
public abstract class ForwardTests(Boxes boxes)
{
    [Fact]
    public async Task A_program_reaches_the_service_behind_a_port_and_no_other()
    {
        var box = await CreateAsync(new BoxForward(8100, "shout", new Shout()), new BoxForward(8101, "count", new Count()));
        const string Script = """
            import socket, hashlib, threading
            def dial(port):
                s = socket.create_connection(('127.0.0.1', port), 10); s.settimeout(20); return s
            def talk(port, data):
                s = dial(port)
                threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True).start()
                out = b''
                while True:
                    part = s.recv(65536)
                    if not part: return out
                    out += part
            print(talk(8100, b'hello').decode())
            big = bytes(range(256)) * 40000
            print(talk(8101, big).decode())
            print([talk(8100, b'x%d' % i).decode() for i in range(20)] == ['X%d' % i for i in range(20)])
            try: dial(8102); print('connected')
            except OSError: print('refused')
            """;
        await box.WriteFileAsync("talk.py", Encoding.UTF8.GetBytes(Script), default);

        Assert.Equal("HELLO\n10240000\nTrue\nrefused", await box.MustAsync("python3 talk.py"));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task Forwards_outlive_a_restored_workspace()
    {
        var box = await CreateAsync(new BoxForward(8100, "shout", new Shout()));
        const string Script = "import socket; s=socket.create_connection(('127.0.0.1',8100),10); s.sendall(b'again'); s.shutdown(1); print(s.recv(99).decode())";

        Assert.Equal("AGAIN", await box.MustAsync($"python3 -c \"{Script}\""));
        Assert.Null(await box.RestoreWorkspaceAsync(null, default));

        Assert.Equal("AGAIN", await box.MustAsync($"python3 -c \"{Script}\""));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_command_reaches_neither_the_forwarder_nor_its_socket()
    {
        var box = await CreateAsync(new BoxForward(8100, "shout", new Shout()));

        Assert.Equal("refused", await box.MustAsync("python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('/run/caisson/gw.sock')\" 2>/dev/null && echo reached || echo refused"));
        // The control: it sees the agent's processes, and may signal its own.
        Assert.Equal("seen", await box.MustAsync("sleep 60 & kill -9 $!; ps axo user:20,args | grep -q '^caisson .*guest init' && echo seen"));
        Assert.Equal("refused", await box.MustAsync("for p in $(ps axo pid,args | awk '/guest ini[t]/ {print $1}'); do kill -9 $p 2>/dev/null && echo killed; done; echo refused"));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task Files_and_environment_of_the_run_are_there()
    {
        var box = await boxes.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null)
        {
            Files = new Dictionary<string, ReadOnlyMemory<byte>> { ["ca.pem"] = "certificate"u8.ToArray() },
            Environment = new Dictionary<string, string> { ["SSL_CERT_FILE"] = "/run/box/ca.pem", ["LANG"] = "C" },
        });

        Assert.Equal("certificate C", await box.MustAsync("echo $(cat $SSL_CERT_FILE) $LANG"));
        Assert.Equal("refused", await box.MustAsync("(: >> /run/box/ca.pem) 2>/dev/null || echo refused"));
        await box.DestroyAsync();
    }

    private Task<ISandbox> CreateAsync(params BoxForward[] forwards) =>
        boxes.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null) { Forwards = forwards });

    private sealed class Count : IBoxService
    {
        public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
        {
            var buffer = new byte[65536];
            var total = 0L;
            for (int n; (n = await connection.ReadAsync(buffer, cancellationToken)) > 0; total += n)
            {
            }

            await connection.WriteAsync(Encoding.ASCII.GetBytes($"{total}"), cancellationToken);
        }
    }
}

/// <summary>Answers in capitals.</summary>
internal sealed class Shout : IBoxService
{
    public async Task ServeAsync(Stream connection, CancellationToken cancellationToken)
    {
        var buffer = new byte[4096];
        for (int n; (n = await connection.ReadAsync(buffer, cancellationToken)) > 0;)
            await connection.WriteAsync(Encoding.ASCII.GetBytes(Encoding.ASCII.GetString(buffer, 0, n).ToUpperInvariant()), cancellationToken);
    }
}
