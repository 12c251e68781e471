/*
 * Process 1 of a virtual machine: makes of an empty kernel what gVisor gives a box, then carries the agent's connections.
 *
 * The agent is process 1 of a PID namespace of its own below: it kills "all processes" when a workspace is restored,
 * which must not reach what carries its connections.
 *
 * Settings come as environment, which the kernel takes from its command line: CAISSON_PIDS, CAISSON_TMP (bytes),
 * CAISSON_PROBE (only say that the machine boots).
 */
#include "bridge.h"
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT_TRIES = 5000 };

#define PORT "/dev/vport0p1"
#define AGENT "/.caisson/guest"

static void must(int result, const char *what)
{
    if (result < 0)
        die(what);
}

static void load_modules(void)
{
    /* Each after what it needs. */
    static const char *const names[] = {"virtio_ring", "virtio", "virtio_mmio", "virtio_console", "fuse", "virtiofs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/modules/%s.ko", names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        /* One that is built in is not there. */
        if (fd < 0)
            continue;
        must((int)syscall(SYS_finit_module, fd, "", 0), path);
        close(fd);
    }
}

static void set(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, value, strlen(value)) < 0)
        dprintf(STDERR_FILENO, "caisson-guest: %s: %s\n", path, strerror(errno));
    close(fd);
}

static void set_kernel(void)
{
    /* Out of memory ends the box, as everywhere: what the kernel would leave is in no known state. The host reads why. */
    set("vm/panic_on_oom", "1");
    /* What was written through a shared mapping reaches the host's side without delay. */
    set("vm/dirty_expire_centisecs", "100");
    set("vm/dirty_writeback_centisecs", "100");
    set("kernel/core_pattern", "");
    set("kernel/dmesg_restrict", "1");
    set("kernel/kptr_restrict", "2");
    set("kernel/perf_event_paranoid", "3");
    set("kernel/unprivileged_bpf_disabled", "1");
    set("kernel/kexec_load_disabled", "1");
    set("user/max_user_namespaces", "0");
    set("kernel/modules_disabled", "1");
}

static void device(const char *path, unsigned minor_number, unsigned major_number)
{
    must(mknod(path, S_IFCHR | 0666, makedev(major_number, minor_number)), path);
    must(chmod(path, 0666), path);
}

static void build_devices(void)
{
    must(mount("dev", "/tree/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k"), "/dev");
    device("/tree/dev/null", 3, 1);
    device("/tree/dev/zero", 5, 1);
    device("/tree/dev/full", 7, 1);
    device("/tree/dev/random", 8, 1);
    device("/tree/dev/urandom", 9, 1);
    device("/tree/dev/tty", 0, 5);
    must(mkdir("/tree/dev/pts", 0755), "/dev/pts");
    must(mkdir("/tree/dev/shm", 01777), "/dev/shm");
    must(mount("devpts", "/tree/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"), "/dev/pts");
    must(symlink("pts/ptmx", "/tree/dev/ptmx"), "/dev/ptmx");
    must(symlink("/proc/self/fd", "/tree/dev/fd"), "/dev/fd");
    must(symlink("/proc/self/fd/0", "/tree/dev/stdin"), "/dev/stdin");
    must(symlink("/proc/self/fd/1", "/tree/dev/stdout"), "/dev/stdout");
    must(symlink("/proc/self/fd/2", "/tree/dev/stderr"), "/dev/stderr");
}

static void build_tree(void)
{
    const char *size = getenv("CAISSON_TMP");
    char options[64];
    snprintf(options, sizeof options, "mode=1777,size=%.20s", size != NULL ? size : "16m");
    mkdir("/tree", 0755);
    must(mkdir("/box", 0755), "/box");
    must(mount("root", "/tree", "virtiofs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "virtiofs root");
    must(mount("box", "/box", "virtiofs", MS_NOSUID | MS_NODEV, NULL), "virtiofs box");
    build_devices();
    must(mount("shm", "/tree/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options), "/dev/shm");
    must(mount("tmp", "/tree/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options), "/tmp");
    must(mount("sysfs", "/tree/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/sys");
    must(mount("caisson", "/tree/run/caisson", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700,size=64k,uid=10000,gid=10000"), "/run/caisson");
    must(mount("/box/f", "/tree/run/box", NULL, MS_BIND, NULL), "/run/box");
    must(mount(NULL, "/tree/run/box", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/run/box");
    must(mount("/box/w", "/tree/workspace", NULL, MS_BIND, NULL), "/workspace");
    /* The rest of that share is nobody's business, and the mount lives on in the two above. */
    must(umount2("/box", MNT_DETACH), "/box");
}

static void start_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

static int open_port(void)
{
    struct timespec moment = {.tv_nsec = 1000000};
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        int fd = open(PORT, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        nanosleep(&moment, NULL);
    }
    die(PORT);
}

static void keep_capabilities(uint64_t kept)
{
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if ((kept >> i & 1) == 0)
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].effective = data[0].permitted = (uint32_t)kept;
    must((int)syscall(SYS_capset, &header, data), "capset");
}

/* What this kernel says of itself and no program needs. */
static void hide_kernel(void)
{
    static const char *const names[] = {"kallsyms", "interrupts", "modules", "diskstats", "partitions", "keys", "key-users", "config.gz"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/tree/proc/%s", names[i]);
        if (mount("/dev/null", path, NULL, MS_BIND, NULL) != 0 && errno != ENOENT)
            die(path);
    }
}

static _Noreturn void be_agent(void)
{
    const char *pids = getenv("CAISSON_PIDS");
    struct rlimit files = {4096, 65536}, processes = {0, 0};
    processes.rlim_cur = processes.rlim_max = pids != NULL ? (rlim_t)atol(pids) : 512;
    must(mount("proc", "/tree/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/proc");
    hide_kernel();
    must(chdir("/tree"), "/tree");
    must(mount(".", "/", NULL, MS_MOVE, NULL), "root");
    must(chroot("."), "chroot");
    must(chdir("/"), "/");
    must(sethostname("box", 3), "hostname");
    must(setrlimit(RLIMIT_NOFILE, &files), "files");
    must(setrlimit(RLIMIT_NPROC, &processes), "processes");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    keep_capabilities(1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL);
    char *const arguments[] = {AGENT, "init", NULL}, *const environment[] = {"PATH=/usr/bin", NULL};
    execve(AGENT, arguments, environment);
    die(AGENT);
}

/* Whatever goes wrong from here on, process 1 ends, and with it, by a panic, the machine. */
int machine_main(void)
{
    if (getenv("CAISSON_PROBE") != NULL) {
        printf("%s\n", MACHINE_BOOTED);
        fflush(stdout);
        reboot(RB_AUTOBOOT);
        return 1;
    }
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    must(mount("proc", "/proc", "proc", 0, NULL), "/proc");
    /* The kernel may have mounted it. */
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
        die("/dev");
    load_modules();
    set_kernel();
    start_loopback();
    build_tree();
    int port = open_port(), listeners[DOORS];
    bridge_listen("/tree/run/caisson", listeners);

    pid_t agent = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, 0);
    must(agent, "clone");
    if (agent == 0)
        be_agent();
    int handle = (int)syscall(SYS_pidfd_open, agent, 0);
    must(handle, "pidfd");
    must(chroot("/tree/run/caisson"), "chroot");
    must(chdir("/"), "/");
    keep_capabilities(1u << CAP_SYS_BOOT);
    signal(SIGPIPE, SIG_IGN);
    bridge_run(port, listeners, handle);
    reboot(RB_AUTOBOOT);
    return 1;
}
