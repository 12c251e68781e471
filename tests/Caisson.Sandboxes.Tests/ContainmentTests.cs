using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

/// <summary>
/// What a hostile command may not reach. Each probe has a control that shows the probe itself works: "blocked" must not
/// mean "mistyped". Kernel settings are only opened for writing, never written.
/// </summary>
[Collection(nameof(Boxes))]
public sealed class ContainmentTests(Boxes boxes)
{
    private readonly ISandbox _box = boxes.Shared;

    [Fact]
    public async Task A_file_of_the_host_is_reached_neither_by_path_nor_by_link()
    {
        var canary = Path.Combine(boxes.Directory, "canary");
        await File.WriteAllTextAsync(canary, "host secret");

        Assert.Equal("host secret", await _box.MustAsync($"mkdir -p /tmp$(dirname {canary}) && printf 'host secret' > /tmp{canary}; cat /tmp{canary}"));
        foreach (var path in new[] { canary, $"/proc/1/root{canary}", $"/proc/self/root{canary}", $"/workspace/..{canary}", "/tmp/leak" })
            Assert.Equal("absent", await _box.MustAsync($"ln -sfn {canary} /tmp/leak; cat {path} 2>/dev/null || echo absent"));
        Assert.Equal("", await _box.MustAsync("ls -A /home /root /var/lib /var/log /srv /opt /mnt /media /boot 2>/dev/null | grep -v : | grep . || true"));
        await _box.MustAsync("rm -rf /tmp/*");
    }

    [Fact]
    public async Task Secrets_of_etc_and_of_the_server_are_not_inside()
    {
        Environment.SetEnvironmentVariable("CAISSON_TEST_SECRET", "do-not-leak");

        Assert.Equal("control", await _box.MustAsync("X=control sh -c 'env | sed -n s/^X=//p'"));
        Assert.Equal("", await _box.MustAsync("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -i secret || true"));
        Assert.Equal("", await _box.MustAsync("ls /etc/shadow /etc/gshadow /etc/ssh /etc/sudoers /etc/ssl/private 2>/dev/null || true"));
        Assert.Contains("agent", await _box.MustAsync("cat /etc/passwd"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_processes_of_the_box_are_seen()
    {
        var processes = await _box.MustAsync("ps axo args");

        Assert.Contains("ps axo args", processes, StringComparison.Ordinal);
        Assert.Contains("/.caisson/guest init", processes, StringComparison.Ordinal);
        Assert.DoesNotContain("runsc", processes, StringComparison.Ordinal);
        Assert.DoesNotContain("dotnet", processes, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/proc/sys/kernel/core_pattern")]
    [InlineData("/proc/sys/kernel/modprobe")]
    [InlineData("/proc/sysrq-trigger")]
    [InlineData("/sys/kernel/uevent_helper")]
    [InlineData("/sys/fs/cgroup/release_agent")]
    [InlineData("/etc/passwd")]
    [InlineData("/usr/bin/true")]
    [InlineData("/.caisson/guest")]
    [InlineData("/lib/ld-linux")]
    [InlineData("/root-canary")]
    public async Task What_would_change_the_host_does_not_open_for_writing(string path)
    {
        // Opened for appending and closed: where it did open, nothing was written.
        Assert.Equal("opens", await _box.MustAsync("touch control; if (: >> control) 2>/dev/null; then echo opens; else echo refused; fi"));
        Assert.Equal("refused", await _box.MustAsync($"if (: >> {path}) 2>/dev/null; then echo opens; else echo refused; fi"));
    }

    [Theory]
    [InlineData("mount -t tmpfs none /tmp")]
    [InlineData("mknod /tmp/disk b 7 0")]
    [InlineData("mknod disk b 7 0")]
    [InlineData("mknod null c 1 3")]
    [InlineData("unshare -r true")]
    [InlineData("setfattr -n user.a -v b control-file")]
    [InlineData("chroot / /bin/true")]
    [InlineData("unshare -U true")]
    [InlineData("unshare -m true")]
    [InlineData("su -c true nobody </dev/null")]
    [InlineData("setpriv --reuid 0 true")]
    [InlineData("kill -9 1")]
    [InlineData("cat /proc/1/mem")]
    [InlineData("ls /proc/1/cwd/")]
    [InlineData("ls /run/caisson")]
    [InlineData("cat /dev/kvm")]
    [InlineData("cat /dev/mem")]
    [InlineData("dmesg -C")]
    [InlineData("chown 0 control-file")]
    [InlineData("hostname changed")]
    public async Task What_needs_power_is_refused(string command)
    {
        await _box.MustAsync("touch control-file; true");

        var exited = Assert.IsType<ExecOutcome.Exited>(await _box.RunAsync(command));

        Assert.True(exited.ExitCode != 0, $"{command} succeeded: {exited.Output.Text()}");
    }

    [Fact]
    public async Task A_command_has_its_own_user_and_no_capability()
    {
        var status = await _box.MustAsync("grep -E '^(Uid|Gid|CapPrm|CapEff|CapInh)' /proc/self/status | tr '\\t' ' '");

        Assert.Equal(
            "Uid: 10001 10001 10001 10001\nGid: 10001 10001 10001 10001\nCapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000", status);
    }

    [Fact]
    public async Task System_calls_that_a_box_does_not_need_are_refused()
    {
        // ptrace of PID 1, bpf, perf, userfaultfd, io_uring, kexec, init_module, raw and packet and vsock sockets.
        const string Script = """
            import ctypes, socket
            libc = ctypes.CDLL(None, use_errno=True)
            calls = {'ptrace': (101, 16, 1, 0, 0), 'bpf': (321, 0, 0, 0), 'perf': (298, 0, 0, -1, -1, 0), 'kexec': (246, 0, 0, 0, 0),
                     'module': (175, 0, 0, 0), 'reboot': (169, 0xfee1dead, 672274793, 0, 0), 'settime': (227, 0, 0), 'setns': (308, 0, 0)}
            print('control', libc.syscall(39) > 0)
            for name, args in calls.items(): print(name, libc.syscall(*args) >= 0)
            for name, args in {'raw': (2, 3, 1), 'packet': (17, 3, 0), 'vsock': (40, 1, 0)}.items():
                try: socket.socket(*args); print(name, True)
                except OSError: print(name, False)
            """;
        await _box.WriteFileAsync("calls.py", System.Text.Encoding.UTF8.GetBytes(Script), default);

        var seen = await _box.MustAsync("python3 calls.py");

        Assert.Equal("control True", seen.Split('\n')[0]);
        Assert.DoesNotContain("True", string.Join('\n', seen.Split('\n').Skip(1)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ordinary_programs_do_not_notice_the_filter()
    {
        await _box.MustAsync("mkdir -p plain; cd plain; mkfifo pipe; mknod pipe2 p; ln -sfn pipe link; echo x > file; ls -la . / 2> err >/dev/null; test ! -s err; cp -a file copy; tar cf /tmp/t.tar file link; python3 -c 'import threading; t=threading.Thread(target=print); t.start(); t.join()'; rm -r /workspace/plain /tmp/t.tar");
    }

    [Theory]
    [InlineData("awk 'BEGIN { print 40 + 2 }'")]
    [InlineData("perl -e 'print 42'")]
    [InlineData("python3 -c 'import ssl, sqlite3, json; print(42)'")]
    [InlineData("git init -q repo && cd repo && echo x > f && git add f && git -c user.name=a -c user.email=a@b commit -qm m && git status --porcelain && echo 42; rm -rf /workspace/repo")]
    [InlineData("id -un | sed s/agent/42/")]
    public async Task Tools_of_the_host_work(string command) => Assert.Equal("42", await _box.MustAsync(command));

    [Fact]
    public async Task Set_user_id_programs_give_nothing()
    {
        await _box.MustAsync("cp /usr/bin/id own-id; chmod 4755 own-id");

        Assert.Equal("10001", await _box.MustAsync("./own-id -u; rm own-id"));
        Assert.Equal("10001", await _box.MustAsync("id -u"));
    }

    [Fact]
    public async Task There_is_no_network()
    {
        using var canary = new TcpListener(IPAddress.Loopback, 0);
        canary.Start();
        var port = ((IPEndPoint)canary.LocalEndpoint).Port;
        const string Script = """
            import socket, sys, threading
            def dial(host, port):
                try:
                    s = socket.create_connection((host, port), 2); s.close(); return 'connected'
                except OSError as e: return 'refused'
            server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()
            print(dial('127.0.0.1', server.getsockname()[1]))
            print(dial('127.0.0.1', int(sys.argv[1])))
            print(dial('169.254.169.254', 80))
            print(dial('example.com', 80))
            """;
        await _box.WriteFileAsync("dial.py", System.Text.Encoding.UTF8.GetBytes(Script), default);

        var seen = await _box.MustAsync($"python3 dial.py {port}");

        Assert.Equal("connected\nrefused\nrefused\nrefused", seen);
        Assert.False(canary.Pending());
        using var control = new TcpClient();
        await control.ConnectAsync(IPAddress.Loopback, port);
        Assert.True(canary.Pending());
    }

    [Fact]
    public async Task One_box_sees_nothing_of_another()
    {
        await _box.MustAsync("echo mine > /tmp/shared-name; echo mine > shared-name");
        var other = await boxes.CreateAsync();

        Assert.Equal("", await other.MustAsync("ls -A /tmp /workspace | grep shared || true"));
        await other.DestroyAsync();
        Assert.Equal("mine", await _box.MustAsync("cat /tmp/shared-name; rm /tmp/shared-name shared-name"));
    }
}
