namespace Caisson.Sandboxes.Tests.Containment;

/// <summary>
/// What a command tries by itself. Kernel settings are opened for writing and never written; system calls that would do
/// harm are made with arguments that no kernel accepts; addresses outside the machine are tried only from a box.
/// <para>In the scripts: CANARY a secret file of the host, STATE the folder of all boxes, PORT a service on the host's
/// loopback, NAME its abstract socket, PROGRAM the server's program, SECRET a variable of its environment.</para>
/// </summary>
internal static class Attacks
{
    private const string Files = "Files of the host", Processes = "Processes", Settings = "Kernel settings", Kernel = "System calls",
        Devices = "Devices", Rights = "Rights", Agent = "The guest agent", Network = "Network", Host = "What the host is";

    public static readonly IReadOnlyList<Attack> All =
    [
        new(Files, "a file of the host, by its path", "read('CANARY')"),
        new(Files, "the same, through a link in the workspace", "os.symlink('CANARY', 'leak'); read('leak')"),
        new(Files, "the same, through /proc/self/root and upwards", "any_of(['/proc/self/root' + 'CANARY', '/workspace/..' + 'CANARY', '../' * 30 + 'CANARY'[1:]], read)"),
        new(Files, "the same, through /proc/1/root and /proc/1/cwd", "any_of(['/proc/1/root' + 'CANARY', '/proc/1/cwd' + 'CANARY', '/proc/1/root/etc/passwd'], read)") { OnHost = "read('/proc/self/root' + 'CANARY')" },
        new(Files, "the folder of all boxes", "os.listdir('STATE')"),
        new(Files, "anything in /home, /root, /var/lib, /var/log, /srv, /boot", "through(any(os.listdir(d) for d in ('/home', '/root', '/var/lib', '/var/log', '/srv', '/boot') if os.path.isdir(d)))"),
        new(Files, "/etc/shadow", "read('/etc/shadow')"),
        new(Files, "a file by its number in the file system (open_by_handle_at)", "by_handle(b'.')"),
        new(Files, "writing to programs and settings of the box (/usr, /etc, /, the guest agent)",
            "any_of(['/usr/bin/true', '/etc/passwd', '/.caisson/guest', '/run/box/x', '/lib/x', '/x'], lambda p: opens(p, os.O_WRONLY | os.O_CREAT if p.endswith('/x') else os.O_WRONLY))")
            { OnHost = "opens('/usr/bin/env')" },

        new(Processes, "seeing a process of the host", "through(any(b'PROGRAM' in c for c in command_lines()))"),
        new(Processes, "secrets in the server's environment", "through(any(b'SECRET' in e for e in environments()))"),
        new(Processes, "ptrace of process 1", "attach(1)") { OnHost = "attach(sleeper())" },
        new(Processes, "reading the memory of process 1 by call", "v = struct.pack('QQ', 0, 8); reaches('process_vm_readv', 1, v, 1, v, 1, 0, refused_as=[errno.EFAULT])")
            { OnHost = "v = struct.pack('QQ', 0, 8); reaches('process_vm_readv', sleeper(), v, 1, v, 1, 0, refused_as=[errno.EFAULT])" },
        new(Processes, "a file descriptor of process 1 (pidfd_getfd)", "call('pidfd_getfd', call('pidfd_open', 1, 0), 0, 0)")
            { OnHost = "call('pidfd_getfd', call('pidfd_open', sleeper(), 0), 0, 0)", MayLack = true },
        new(Processes, "reading the memory of process 1 in /proc", "memory_of(1)") { InBox = "memory_of('self')" },
        new(Processes, "the pipes to the host that process 1 was started with", "any_of(range(8), lambda n: pipe_of(1, n))") { InBox = "e = os.pipe(); pipe_of('self', e[1])" },
        new(Processes, "the guest agent's environment, which holds no secret", "through(len(read('/proc/1/environ')) > 0)") { InBox = "through(len(read('/proc/self/environ')) > 0)", OpenIn = ["gvisor"] },

        new(Settings, "/proc/sys/kernel/core_pattern", "opens('/proc/sys/kernel/core_pattern')"),
        new(Settings, "/proc/sys/kernel/modprobe and hotplug", "any_of(['/proc/sys/kernel/modprobe', '/proc/sys/kernel/hotplug', '/proc/sys/kernel/poweroff_cmd'], opens)"),
        new(Settings, "other settings in /proc/sys", "any_of(['/proc/sys/kernel/panic', '/proc/sys/vm/overcommit_memory', '/proc/sys/fs/file-max', '/proc/sys/net/ipv4/ip_forward', '/proc/sys/user/max_user_namespaces'], opens)"),
        new(Settings, "/proc/sysrq-trigger", "opens('/proc/sysrq-trigger')") { MayLack = true },
        new(Settings, "/sys: uevent_helper, release_agent, power", "any_of(['/sys/kernel/uevent_helper', '/sys/fs/cgroup/release_agent', '/sys/fs/cgroup/memory/release_agent', '/sys/power/state', '/sys/fs/cgroup/cgroup.procs'], opens)")
            { InBox = "opens('own', os.O_WRONLY | os.O_CREAT)" },
        new(Settings, "the host's kernel memory and symbols (/proc/kcore, kallsyms, kmsg)", "through(len(any_of(['/proc/kcore', '/proc/kmsg', '/dev/kmsg', '/dev/mem', '/proc/kallsyms'], lambda p: open(p, 'rb').read(1))) > 0)")
            { InBox = "through(len(open('/proc/self/status', 'rb').read(1)) > 0)" },

        new(Kernel, "mount", "call('mount', b'none', b'.', b'tmpfs', 0, 0)") { OnHost = "sh('unshare -m mount -t tmpfs none .')" },
        new(Kernel, "the new way to mount (fsopen, open_tree)", "any_of([('fsopen', b'tmpfs', 0), ('open_tree', -100, b'/', 1)], lambda c: call(*c))"),
        new(Kernel, "chroot", "os.chroot('.')"),
        new(Kernel, "a user namespace by unshare", "call('unshare', 0x10000000)"),
        new(Kernel, "any namespace by unshare or setns", "any_of([0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000], lambda f: call('unshare', f))") { OnHost = "sh('unshare -mniup --fork true')" },
        new(Kernel, "a user namespace by clone3", "r = call('clone3', struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64); r == 0 and os._exit(0)"),
        new(Kernel, "a user namespace by clone", "r = libc.syscall(220 if ARM else 56, ctypes.c_long(0x10000011), 0, 0, 0, 0); r == 0 and os._exit(0); through(r > 0)"),
        new(Kernel, "loading a module", "reaches('init_module', 0, 0, b'', refused_as=[errno.ENOEXEC, errno.EFAULT])") { MayLack = true },
        new(Kernel, "loading another kernel", "reaches('kexec_load', 0, 1 << 20, 0, 0, refused_as=[errno.EINVAL])") { MayLack = true },
        new(Kernel, "reboot", "reaches('reboot', 0, 0, 0, 0, refused_as=[errno.EINVAL])"),
        new(Kernel, "swapon", "reaches('swapon', b'/no/such/file', 0, refused_as=[errno.ENOENT])") { MayLack = true },
        new(Kernel, "bpf", "call('bpf', 0, struct.pack('IIIII', 1, 4, 4, 1, 0) + bytes(100), 120)") { MayLack = true },
        new(Kernel, "perf_event_open", "call('perf_event_open', struct.pack('IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0)") { MayLack = true },
        new(Kernel, "userfaultfd", "call('userfaultfd', 0)") { MayLack = true },
        new(Kernel, "io_uring", "call('io_uring_setup', 1, bytes(120))") { MayLack = true },
        new(Kernel, "keyrings", "call('add_key', b'user', b'probe', b'x', 1, -1)") { MayLack = true },
        new(Kernel, "personality without address randomisation", "call('personality', 0x40000); through(call('personality', 0xffffffff) == 0x40000)"),
        new(Kernel, "comparing itself with process 1 (kcmp)", "call('kcmp', os.getpid(), 1, 1, 0, 0)") { OnHost = "call('kcmp', os.getpid(), os.getppid(), 1, 0, 0)", MayLack = true },
        new(Kernel, "typing into a terminal (TIOCSTI)", "m, s = pty.openpty(); fcntl.ioctl(s, 0x5412, b'x')") { OnHost = "m, s = pty.openpty(); fcntl.ioctl(s, 0x5414, bytes(8))" },
        // The clock itself looks at its argument first and says the same to all. These two ask for the right (CAP_SYS_TIME) and
        // look then: nothing is set by a time zone of 100,000 minutes, or by a tick of none.
        new(Kernel, "setting the clock", "any_of([('settimeofday', 0, struct.pack('ii', 100000, 0)), ('adjtimex', struct.pack('I', 0x4000) + bytes(204))], lambda c: reaches(*c, refused_as=[errno.EINVAL]))"),
        new(Kernel, "the crypto interface (AF_ALG)", "socket.socket(38, socket.SOCK_SEQPACKET, 0)") { MayLack = true },

        new(Devices, "making a block device", "os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(7, 0))"),
        new(Devices, "making a character device", "os.mknod('null', stat.S_IFCHR | 0o600, os.makedev(1, 3))"),
        new(Devices, "any disk in /dev", "any_of([d.path for d in os.scandir('/dev') if stat.S_ISBLK(os.stat(d.path).st_mode)], lambda p: opens(p, os.O_RDONLY))"),
        new(Devices, "/dev/kvm, loop-control, vhost", "any_of(['/dev/kvm', '/dev/loop-control', '/dev/vhost-net', '/dev/vhost-vsock'], lambda p: opens(p, os.O_RDWR))")
            { InBox = "opens('/dev/null', os.O_RDWR)" },
        new(Devices, "a tunnel into a network (/dev/net/tun)", "fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, struct.pack('16sH22x', b'probe0', 1))") { OnHost = "opens('/dev/net/tun', os.O_RDWR)", MayLack = true },
        new(Devices, "a file system of its own (/dev/fuse and mount)", "f = os.open('/dev/fuse', os.O_RDWR); call('mount', b'none', b'.', b'fuse', 0, b'fd=%d,rootmode=40000,user_id=0,group_id=0' % f)") { OnHost = "opens('/dev/fuse', os.O_RDWR)", MayLack = true },

        new(Rights, "becoming root or the agent", "any_of([0, 10000, 10002, 10003], lambda u: os.setresuid(u, u, u))"),
        new(Rights, "a set-user-id program", "sh('cp /usr/bin/id own-id && chmod 4755 own-id') ; through(sh('su -c \"id -u\" </dev/null') == '0')") { OnHost = "through(sh('id -u') == '0')" },
        new(Rights, "any capability", "through(any(int(l.split()[1], 16) for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapPrm', 'CapInh', 'CapAmb'))))"),
        new(Rights, "running without no-new-privileges", "through(call('prctl', 39, 0, 0, 0, 0) == 0)"),
        new(Rights, "another host name", "sh('hostname changed')") { OnHost = "sh('unshare -u hostname changed')" },
        new(Rights, "chown to root", "open('mine', 'w').close(); os.chown('mine', 0, 0)"),

        new(Agent, "a signal to process 1 and to the workers", "any_of([1, 2, 3], lambda p: os.kill(p, 0) if b'guest' in read(f'/proc/{p}/cmdline') else os.kill(1, 0))") { OnHost = "os.kill(sleeper(), 9)" },
        new(Agent, "its sockets: a forged control connection", "any_of(['ctl', 'io', 'gw'], lambda n: dial(f'/run/caisson/{n}.sock', socket.AF_UNIX))")
            { InBox = "s = socket.socket(socket.AF_UNIX); s.bind('own.sock'); s.listen(); dial('own.sock', socket.AF_UNIX)" },

        new(Network, "a service on the host's loopback, and the server's own API", "dial(('127.0.0.1', PORT))"),
        new(Network, "an abstract socket of the host", "dial('\\0NAME', socket.AF_UNIX)"),
        new(Network, "docker.sock and its like", "any_of(['/run/docker.sock', '/var/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket'], lambda p: dial(p, socket.AF_UNIX))")
            { InBox = "s = socket.socket(socket.AF_UNIX); s.bind('docker.sock'); s.listen(); dial('docker.sock', socket.AF_UNIX)" },
        new(Network, "the metadata address of clouds", "dial(('169.254.169.254', 80))") { InBox = Listen },
        new(Network, "any other address", "any_of([('192.0.2.1', 80), ('10.0.0.1', 80)], dial)") { InBox = Listen },
        new(Network, "a name by DNS", "socket.getaddrinfo('example.com', 80)") { InBox = "socket.getaddrinfo('localhost', 80)" },
        new(Network, "a network interface besides loopback", "through(len([l for l in open('/proc/net/dev') if ':' in l and not l.strip().startswith('lo:')]) > 0)") { InBox = "through('lo:' in open('/proc/net/dev').read())" },
        new(Network, "raw sockets", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
        new(Network, "packet sockets", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)") { MayLack = true },
        new(Network, "vsock", "socket.socket(40, socket.SOCK_STREAM, 0)") { MayLack = true },

        new(Host, "the host's own kernel answers system calls", "through(os.uname().release == 'RELEASE')") { OpenIn = ["bubblewrap"] },
        new(Host, "how much memory the host has (/proc/meminfo)", "through('MEMORY' in open('/proc/meminfo').read())") { OpenIn = ["gvisor", "bubblewrap"] },
        new(Host, "the host's disks, interrupts and modules (/proc)", "any_of(['/proc/diskstats', '/proc/partitions', '/proc/modules', '/proc/interrupts'], lambda p: through(len(read(p)) > 0))") { OpenIn = ["bubblewrap"] },
        new(Host, "names of the host's folders in the list of mounts", "through('STATE' in open('/proc/self/mountinfo').read())") { OpenIn = ["bubblewrap"], OnHost = "through('/' in open('/proc/self/mountinfo').read())" },
    ];

    private const string Listen = "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); dial(s.getsockname())";
}
