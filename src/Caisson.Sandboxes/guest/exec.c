/*
 * One command. The worker is its parent and the subreaper of all that it starts.
 *
 * States: gathering (ARG, ENV, DIR until START) -> running -> killing what is left -> draining -> EXITED.
 * Output: read from a pipe only when the last frame has gone out, so a host that stops reading blocks the command.
 * Input: the host sends no more than the credit, so the worker always reads its socket and KILL is never stuck.
 */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_STRINGS = 4096, MAX_STRING_BYTES = 2 << 20 };

struct strings {
    char *items[MAX_STRINGS + 1];
    size_t count;
};

static struct frame frame;
static struct strings arguments, environment;
static char *directory;
static struct terminal terminal = {.slave = -1};
static pid_t command = -1;
static int status = -1;

static void on_child(int signal) { (void)signal; }

static void gather(int stream)
{
    size_t total = 0;
    for (;;) {
        if (!recv_frame(stream, &frame))
            _exit(71);
        if (frame.type == F_START)
            break;
        if (frame.type == F_TERMINAL) {
            if (!set_size(&terminal, &frame, -1))
                _exit(65);
            continue;
        }
        total += frame.length;
        if (total > MAX_STRING_BYTES || strlen((char *)frame.payload) != frame.length)
            _exit(65);
        char *copy = strdup((char *)frame.payload);
        if (copy == NULL)
            _exit(71);
        if (frame.type == F_DIR)
            directory = copy;
        else if (frame.type == F_ARG && arguments.count < MAX_STRINGS)
            arguments.items[arguments.count++] = copy;
        else if (frame.type == F_ENV && environment.count < MAX_STRINGS)
            environment.items[environment.count++] = copy;
        else
            _exit(65);
    }
    if (arguments.count == 0)
        _exit(65);
}

/* From here on the process is the workload: another uid, no capability, nothing inherited. */
static void become_workload(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (setgroups(0, NULL) != 0 || setresgid(WORK_UID, WORK_UID, WORK_UID) != 0 ||
        setresuid(WORK_UID, WORK_UID, WORK_UID) != 0)
        _exit(72);
    if (drop_capabilities() != 0)
        _exit(72);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || restrict_calls() != 0)
        _exit(72);
    umask(022);
}

struct start_failure {
    int error; /* 0 when the program runs */
    uint8_t what;
};

/*
 * Started with vfork: under gVisor a fork copies an address space in a process of the host, which costs as much as the
 * exec itself. The child therefore runs on the worker's memory and touches none of it but `failure`.
 */
static void start_command(int in, int out, int err, volatile struct start_failure *failure)
{
    failure->error = 0;
    command = vfork();
    if (command < 0) {
        failure->error = errno;
        failure->what = 'f';
    }
    if (command != 0)
        return;
    if (terminal.size.ws_row == 0)
        setsid();
    else
        setpgid(0, 0);
    /* The only one that is ignored; handlers end with the exec. */
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (terminal.size.ws_row != 0) {
        /* From the background, where this is, it would be stopped for it. */
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
    }
    become_workload();
    /* After the change of uid, which clears it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(WORKSPACE) != 0 || (directory != NULL && directory[0] != 0 && chdir(directory) != 0)) {
        failure->error = errno;
        failure->what = 'd';
        _exit(73);
    }
    execvpe(arguments.items[0], arguments.items, environment.items);
    failure->error = errno;
    failure->what = 'x';
    _exit(73);
}

/* Answers whether any child is left. */
static int reap(void)
{
    int st;
    pid_t pid;
    while ((pid = waitpid(-1, &st, WNOHANG)) > 0)
        if (pid == command)
            status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
    return pid == 0;
}

static void kill_tree(const sigset_t *open)
{
    struct timespec moment = {.tv_nsec = 2000000};
    while (reap()) {
        /* Once it is reaped its number may be somebody else's. */
        if (status < 0)
            kill(-command, SIGKILL);
        kill_descendants();
        ppoll(NULL, 0, &moment, open);
    }
}

/* Answers 0 at the end of the pipe. */
static int forward(int stream, int pipe, uint8_t type)
{
    static uint8_t output[MAX_FRAME];
    ssize_t n = read(pipe, output, sizeof output);
    /* A terminal whose other end nobody holds answers EIO. */
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return 0;
    send_frame(stream, type, output, (uint32_t)n);
    return 1;
}

struct input {
    int pipe; /* -1 once closed */
    int ended;
    size_t from, length;
    uint8_t data[MAX_FRAME];
};

static void pump_input(int stream, struct input *input)
{
    while (input->pipe >= 0 && input->length > 0) {
        ssize_t n = write(input->pipe, input->data + input->from, input->length);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            /* The command closed its input; what else comes is dropped, and credited so that the host can finish. */
            close(input->pipe);
            input->pipe = -1;
            break;
        }
        input->from += (size_t)n;
        input->length -= (size_t)n;
        send_u32(stream, F_CREDIT, (uint32_t)n);
    }
    if (input->pipe >= 0 && input->ended) {
        /* A terminal's input ends by a character; it stays open for the output. */
        if (terminal.size.ws_row != 0 && write(input->pipe, "\004", 1) < 0)
            return;
        close(input->pipe);
        input->pipe = -1;
    }
}

static void accept_input(int stream, struct input *input)
{
    uint32_t came = frame.length;
    if (came > 0 && terminal.size.ws_row != 0)
        type_signals(&terminal, &frame);
    if (frame.length < came)
        send_u32(stream, F_CREDIT, came - frame.length);
    if (came == 0) {
        input->ended = 1;
    } else if (input->pipe < 0) {
        send_u32(stream, F_CREDIT, frame.length);
        return;
    } else {
        if (frame.length > sizeof input->data - input->length)
            _exit(65);
        memmove(input->data, input->data + input->from, input->length);
        input->from = 0;
        memcpy(input->data + input->length, frame.payload, frame.length);
        input->length += frame.length;
    }
    pump_input(stream, input);
}

static _Noreturn void not_started(int stream, int error, uint8_t what)
{
    uint8_t report[5];
    put_u32(report, (uint32_t)error);
    report[4] = what;
    send_frame(stream, F_NOT_STARTED, report, sizeof report);
    _exit(0);
}

/*
 * PID 1 said that no connection may stay open. The command goes on meanwhile, until a pipe is full. At the second word
 * the host is there again, maybe another one; it knows the token.
 */
static int attach_again(int stream, const uint8_t *token, const sigset_t *open)
{
    close(stream);
    forget_buffered();
    while (detached)
        sigsuspend(open);
    stream = dial(IO_PATH);
    send_frame(stream, F_TOKEN, token, 4 + TOKEN_SIZE);
    return stream;
}

_Noreturn void exec_worker(int stream, const uint8_t *token)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigemptyset(&open);

    gather(stream);

    int in[2], out[2], err[2] = {-1, -1};
    if (terminal.size.ws_row != 0) {
        out[0] = open_terminal(&terminal);
        in[0] = terminal.slave;
        in[1] = out[0] < 0 ? -1 : fcntl(out[0], F_DUPFD_CLOEXEC, 0);
        out[1] = in[1] < 0 ? -1 : fcntl(in[0], F_DUPFD_CLOEXEC, 0);
        if (out[1] < 0)
            not_started(stream, errno, 'f');
    } else if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        not_started(stream, errno, 'f');
    }
    struct start_failure failure;
    start_command(in[0], out[1], err[1] < 0 ? out[1] : err[1], &failure);
    if (failure.error != 0) {
        kill_tree(&open);
        not_started(stream, failure.error, failure.what);
    }
    if (terminal.size.ws_row == 0)
        close(in[0]);
    close(out[1]);
    if (err[1] >= 0)
        close(err[1]);
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);

    static struct input input;
    input.pipe = in[1];
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    send_u32(stream, F_CREDIT, MAX_FRAME);

    int outputs[2] = {out[0], err[0]};
    const uint8_t types[2] = {F_STDOUT, F_STDERR};
    while (reap(), status < 0) {
        if (detached && !has_buffered())
            stream = attach_again(stream, token, &open);
        struct pollfd fds[4] = {
            {.fd = stream, .events = POLLIN},
            {.fd = outputs[0], .events = POLLIN},
            {.fd = outputs[1], .events = POLLIN},
            {.fd = input.length > 0 ? input.pipe : -1, .events = POLLOUT},
        };
        struct timespec none = {0, 0};
        if (ppoll(fds, 4, has_buffered() ? &none : NULL, &open) < 0)
            continue;
        if (fds[0].revents != 0 || has_buffered()) {
            /* Frames are small and the host sends whole ones, so a blocking read of the rest is short. */
            if (!recv_frame(stream, &frame)) {
                kill_tree(&open);
                _exit(0);
            }
            if (frame.type == F_KILL)
                kill_tree(&open);
            else if (frame.type == F_STDIN)
                accept_input(stream, &input);
            else if (frame.type == F_RESIZE && terminal.size.ws_row != 0 && set_size(&terminal, &frame, out[0]))
                continue;
            else
                _exit(65);
        }
        for (int i = 0; i < 2; i++)
            if (fds[1 + i].revents != 0 && !forward(stream, outputs[i], types[i])) {
                close(outputs[i]);
                outputs[i] = -1;
            }
        if (fds[3].revents != 0)
            pump_input(stream, &input);
    }

    /* What the command left running ends with it; then nobody holds the pipes and they run dry. */
    kill_tree(&open);
    if (terminal.slave >= 0)
        close(terminal.slave);
    for (int i = 0; i < 2; i++)
        while (outputs[i] >= 0 && forward(stream, outputs[i], types[i])) {
        }
    send_u32(stream, F_EXITED, (uint32_t)status);
    _exit(0);
}
