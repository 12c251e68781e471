/*
 * PID 1: dials the host, forks a worker for each stream it is told to open, and reaps.
 * Single-threaded; the only thing it ever waits for is ctl, and SIGCHLD interrupts that.
 */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void on_child(int signal) { (void)signal; }

volatile sig_atomic_t detached;

static void on_detach(int signal)
{
    (void)signal;
    detached = !detached;
}

/* Those that were told to open a stream. */
enum { MAX_WORKERS = 1024 };
static pid_t workers[MAX_WORKERS];
static int worker_count;

static void remember(pid_t pid)
{
    if (worker_count < MAX_WORKERS)
        workers[worker_count++] = pid;
}

/*
 * One worker is forked ahead, because a fork costs milliseconds here: it waits on a pipe for the stream to open. It is
 * replaced when some worker has ended and not at once, so that the fork does not compete with the command.
 */
static int spare = -1;
static pid_t spare_pid;

/* The ports that are forwarded stay open here, so that a forwarder that ends is replaced without a gap. */
static int listeners[MAX_FORWARDS];
static uint16_t ports[MAX_FORWARDS];
static int port_count;
static pid_t forwarding = -1;

static void start_forwarder(int ctl)
{
    if (port_count == 0 || forwarding >= 0)
        return;
    forwarding = fork();
    if (forwarding == 0) {
        close(ctl);
        forwarder(listeners, ports, port_count);
    }
}

/* Answers 0, or the error of a port that cannot be had: then none is forwarded. */
static int set_forwards(int ctl, const uint8_t *list, int count)
{
    if (forwarding >= 0) {
        kill(forwarding, SIGKILL);
        waitpid(forwarding, NULL, 0);
        forwarding = -1;
    }
    while (port_count > 0)
        close(listeners[--port_count]);
    for (int i = 0; i < count; i++) {
        ports[i] = get_u16(list + 2 * i);
        listeners[i] = listen_on(ports[i]);
        if (listeners[i] < 0) {
            int error = errno;
            while (port_count > 0)
                close(listeners[--port_count]);
            return error;
        }
        port_count++;
    }
    start_forwarder(ctl);
    return 0;
}

/* Answers whether some child has ended. */
static int reap(void)
{
    int ended = 0;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        ended = 1;
        if (pid == forwarding)
            forwarding = -1;
        for (int i = 0; i < worker_count; i++)
            if (workers[i] == pid)
                workers[i] = workers[--worker_count];
    }
    return ended;
}

enum { OPEN_LENGTH = 4 + 1 + TOKEN_SIZE };

static _Noreturn void be_worker(const uint8_t *order)
{
    uint8_t token[4 + TOKEN_SIZE];
    memcpy(token, order, 4);
    memcpy(token + 4, order + 5, TOKEN_SIZE);
    forget_buffered();
    int stream = dial(IO_PATH);
    send_frame(stream, F_TOKEN, token, sizeof token);
    if (order[4] == 1)
        exec_worker(stream, token);
    files_worker(stream);
}

static void close_ports(void)
{
    for (int i = 0; i < port_count; i++)
        close(listeners[i]);
}

static void prepare_spare(int ctl)
{
    int ends[2];
    if (spare >= 0 || pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t order[OPEN_LENGTH];
        close(ctl);
        close(ends[1]);
        close_ports();
        if (read(ends[0], order, sizeof order) != sizeof order)
            _exit(0);
        close(ends[0]);
        be_worker(order);
    }
    close(ends[0]);
    if (pid < 0)
        close(ends[1]);
    else {
        spare = ends[1];
        spare_pid = pid;
    }
}

static void open_stream(int ctl, const struct frame *frame)
{
    if (spare >= 0) {
        ssize_t n = write(spare, frame->payload, OPEN_LENGTH);
        close(spare);
        spare = -1;
        if (n == OPEN_LENGTH) {
            remember(spare_pid);
            return;
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ctl);
        close_ports();
        be_worker(frame->payload);
    }
    if (pid < 0) {
        uint8_t failed[8];
        memcpy(failed, frame->payload, 4);
        put_u32(failed + 4, (uint32_t)errno);
        send_frame(ctl, F_OPEN_FAILED, failed, sizeof failed);
    } else {
        remember(pid);
    }
}

/* Until nothing is left: what a killed parent leaves comes to PID 1, and a fork may slip in between two rounds. */
static void kill_everything(void)
{
    if (spare >= 0)
        close(spare);
    spare = -1;
    for (;;) {
        if (kill(-1, SIGKILL) != 0 && errno == ESRCH)
            break;
        pid_t pid = waitpid(-1, NULL, 0);
        if (pid < 0 && errno == ECHILD)
            break;
    }
    forwarding = -1;
    worker_count = 0;
}

static void tell_workers(void)
{
    for (int i = 0; i < worker_count; i++)
        kill(workers[i], SIGUSR1);
}

/*
 * Leaves the host and comes back, to whoever then answers: answers the new ctl. What forwards ends, and with it the
 * connections that it carried; the ports stay open.
 */
static int detach(int ctl, const uint8_t *id)
{
    if (spare >= 0)
        close(spare);
    spare = -1;
    if (forwarding >= 0)
        kill(forwarding, SIGKILL);
    tell_workers();
    send_frame(ctl, F_DETACHED, id, 4);
    close(ctl);
    forget_buffered();
    while ((ctl = try_dial(CTL_PATH)) < 0) {
        struct timespec moment = {.tv_nsec = 10000000};
        nanosleep(&moment, NULL);
    }
    send_u32(ctl, F_HELLO, PROTOCOL_VERSION);
    reap();
    tell_workers();
    prepare_spare(ctl);
    start_forwarder(ctl);
    return ctl;
}

/*
 * gVisor keeps no capability over the exec of a process that does not start as uid 0 (it has no ambient set), so PID 1
 * starts as uid 0 with the three that it needs, and leaves that uid at once.
 */
static void become_agent(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct own[2] = {{0}, {0}};
    own[0].permitted = own[0].effective = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    if (setgroups(0, NULL) != 0 || setresgid(GUEST_UID, GUEST_UID, GUEST_UID) != 0 ||
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setresuid(GUEST_UID, GUEST_UID, GUEST_UID) != 0 ||
        syscall(SYS_capset, &header, own) != 0)
        die("cannot become the agent's user");
    prctl(PR_SET_DUMPABLE, 0);
}

/*
 * What PID 1 was started with leads to the host's log. gVisor lets a command open /proc/1/fd of another user; there is
 * nothing to be found there then. Only once the host has answered, so that a failed start is still told.
 */
static void leave_standard_streams(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; nothing >= 0 && i <= 2; i++)
        dup2(nothing, i);
    if (nothing > 2)
        close(nothing);
}

int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct nothing[2] = {{0}, {0}};
    return (int)syscall(SYS_capset, &header, nothing);
}

int init_main(int host_kernel)
{
    if (host_kernel && restrict_host_kernel() != 0)
        die("filter of system calls");
    become_agent();
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, on_detach);

    /* SIGCHLD is open only inside ppoll: a child that dies between reap and the wait still ends the wait. */
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    sigdelset(&open, SIGCHLD);

    int ctl = dial(CTL_PATH);
    send_u32(ctl, F_HELLO, PROTOCOL_VERSION);
    leave_standard_streams();

    static struct frame frame;
    prepare_spare(ctl);
    for (;;) {
        if (reap()) {
            prepare_spare(ctl);
            start_forwarder(ctl);
        }
        struct pollfd wait = {.fd = ctl, .events = POLLIN};
        if (!has_buffered() && ppoll(&wait, 1, NULL, &open) <= 0)
            continue;
        if (!recv_frame(ctl, &frame))
            return 0;
        if (frame.type == F_OPEN && frame.length == OPEN_LENGTH) {
            open_stream(ctl, &frame);
        } else if (frame.type == F_KILL_ALL && frame.length == 4) {
            kill_everything();
            prepare_spare(ctl);
            start_forwarder(ctl);
            send_frame(ctl, F_KILLED, frame.payload, 4);
        } else if (frame.type == F_DETACH && frame.length == 4) {
            ctl = detach(ctl, frame.payload);
        } else if (frame.type == F_FORWARD && frame.length >= 4 && frame.length <= 4 + 2 * MAX_FORWARDS && frame.length % 2 == 0) {
            uint8_t answer[8];
            memcpy(answer, frame.payload, 4);
            put_u32(answer + 4, (uint32_t)set_forwards(ctl, frame.payload + 4, (int)(frame.length - 4) / 2));
            send_frame(ctl, F_FORWARDING, answer, sizeof answer);
        } else {
            return 65;
        }
    }
}
