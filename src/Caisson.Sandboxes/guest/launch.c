/*
 * The launcher and guard of one box, on the host.
 *
 *   caisson-guest launch --freeze FILE --thaw WORD --cgroup FILE... --image FILE --mount DIR [--usr DIR]
 *                        [--user-namespace --stage NAME PATH...] -- PROGRAM ARGUMENTS...
 *
 * Problem: a box must die with the server, also when the server gets SIGKILL, also when the box is frozen (a frozen
 * task of cgroup v1 does not die before it is thawed); runsc's processes are several; and a loop mount outlives all.
 *
 * Answer: the launcher makes a mount and a PID namespace. The workspace's image is mounted in that mount namespace
 * only, on a loop device that clears itself, so nothing has to be unmounted: it goes with the last process. The first
 * process of the PID namespace starts runsc detached, which saves runsc's own waiting parent (3 MiB a box), and then
 * holds the namespace: the kernel ends all of runsc's processes with it. The launcher's standard input is a pipe that
 * only the server holds: at its end the launcher kills the first process and thaws the freezer.
 * A pipe, and not the parent-death signal of the server, because that signal is tied to the thread that forked, and a
 * server's threads come and go.
 *
 * Who dies:
 *   the server      the pipe ends; all is killed as above.
 *   the launcher    the first process gets SIGKILL as its parent-death signal (the launcher has one thread). If the
 *                   box is frozen, the server's reaper thaws it.
 *   runsc           one of its processes is enough: the first process sees a child end, and ends the namespace.
 */
#include "guest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CGROUPS = 16, LOOP_TRIES = 64, VISITOR_LOOKS = 4000 };

static void on_child(int signal) { (void)signal; }

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n < 0 ? -1 : 0;
}

/*
 * Another launcher may take the free device between the question and the answer: then ask again. The device is left
 * open on purpose until the mount holds it, since it clears itself at the last close.
 */
static void attach_and_mount(const char *image, const char *target)
{
    int backing = open(image, O_RDWR | O_CLOEXEC);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (backing < 0 || control < 0)
        die("loop");
    for (int tries = 0; tries < LOOP_TRIES; tries++) {
        char path[32];
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            die("no free loop device");
        snprintf(path, sizeof path, "/dev/loop%d", number);
        int device = open(path, O_RDWR | O_CLOEXEC);
        if (device < 0)
            die(path);
        struct loop_config config = {.fd = (uint32_t)backing, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "%.63s", image);
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            /* The image is never read again after a crash, so nothing needs to reach the disk in order. */
            if (mount(path, target, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, "nobarrier") != 0)
                die("mount of the workspace");
            close(device);
            close(control);
            close(backing);
            return;
        }
        if (errno != EBUSY)
            die("loop device");
        close(device);
    }
    die("loop devices are all taken");
}

static void build_tree(const char *image, const char *target, const char *usr)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        die("mount namespace");
    attach_and_mount(image, target);
    char work[4096];
    snprintf(work, sizeof work, "%s/w", target);
    /* The disk of a checkpoint has it already. */
    if ((mkdir(work, 0755) != 0 && errno != EEXIST) || chown(work, WORK_UID, WORK_UID) != 0)
        die(work);
    if (usr == NULL)
        return;
    if (mount("/usr", usr, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, usr, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        die(usr);
}

/* What the box sees, and as whom, where the kernel is the host's; see userns.c. */
static char *names[MAX_STAGED], *paths[MAX_STAGED];
static int staged, user_namespace;

static pid_t start(char **program)
{
    int entered[2], mapped[2];
    if (pipe2(entered, O_CLOEXEC) != 0 || pipe2(mapped, O_CLOEXEC) != 0)
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        if (user_namespace)
            enter_user_namespace(entered[1], mapped[0]);
        execv(program[0], program);
        die(program[0]);
    }
    close(entered[1]);
    if (user_namespace)
        map_users(pid, entered[0], mapped[1]);
    close(entered[0]);
    close(mapped[0]);
    close(mapped[1]);
    return pid;
}

/*
 * The end of this namespace's first process kills whoever is in it, and runsc's own checkpoint command is: it comes from
 * outside, tells the box to end, and then has work left. Who came from outside has no parent here.
 */
static void await_visitors(void)
{
    struct timespec moment = {.tv_nsec = 5000000};
    for (int looks = 0; looks < VISITOR_LOOKS; looks++) {
        int found = 0;
        DIR *proc = opendir("/proc");
        if (proc == NULL)
            return;
        for (struct dirent *entry; !found && (entry = readdir(proc)) != NULL;)
            found = atoi(entry->d_name) > 1 && parent_of(entry->d_name) == 0;
        closedir(proc);
        if (!found)
            return;
        nanosleep(&moment, NULL);
    }
}

static _Noreturn void hold_namespace(char **cgroups, int count, int alive, char **program)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The launcher may have died before the line above: its end of this pipe is closed then. */
    struct pollfd gone = {.fd = alive, .events = POLLIN};
    if (poll(&gone, 1, 0) != 0)
        _exit(71);
    if (unshare(CLONE_NEWNS) != 0)
        die("unshare");
    /* runsc looks its children up in /proc, which must be that of this PID namespace. */
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        die("mount of /proc");
    if (staged > 0)
        stage(names, paths, staged);
    /* "0" is the writer itself, in whatever PID namespace it is. */
    for (int i = 0; i < count; i++)
        if (write_file(cgroups[i], "0") != 0)
            die(cgroups[i]);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    pid_t started = start(program);
    /* runsc ends when the box runs, and leaves the gofer and the sandbox to this process; bwrap ends with its box. */
    int status;
    while (waitpid(started, &status, 0) < 0)
        if (errno != EINTR)
            die("wait");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    while (waitpid(-1, &status, 0) < 0 && errno == EINTR) {
    }
    await_visitors();
    _exit(0);
}

int launch_main(int argc, char **argv)
{
    char *cgroups[MAX_CGROUPS], **program = NULL;
    char *freeze = NULL, *thaw = NULL, *image = NULL, *target = NULL, *usr = NULL;
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            program = argv + i + 1;
            break;
        }
        if (strcmp(argv[i], "--user-namespace") == 0) {
            user_namespace = 1;
            continue;
        }
        if (i + 1 >= argc)
            return 64;
        if (strcmp(argv[i], "--stage") == 0 && staged < MAX_STAGED && i + 2 < argc) {
            names[staged] = argv[++i];
            paths[staged++] = argv[++i];
        } else if (strcmp(argv[i], "--cgroup") == 0 && count < MAX_CGROUPS)
            cgroups[count++] = argv[++i];
        else if (strcmp(argv[i], "--freeze") == 0)
            freeze = argv[++i];
        else if (strcmp(argv[i], "--thaw") == 0)
            thaw = argv[++i];
        else if (strcmp(argv[i], "--image") == 0)
            image = argv[++i];
        else if (strcmp(argv[i], "--mount") == 0)
            target = argv[++i];
        else if (strcmp(argv[i], "--usr") == 0)
            usr = argv[++i];
        else
            return 64;
    }
    if (program == NULL || freeze == NULL || thaw == NULL || image == NULL || target == NULL)
        return 64;

    /* Whatever else the server had open is not for a box. */
    syscall(SYS_close_range, 3, ~0u, 0);

    /* A session of its own: Ctrl-C at the server's terminal is for the server, which then ends its boxes in order. */
    setsid();
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    sigdelset(&open, SIGCHLD);

    int alive[2];
    if (pipe2(alive, O_CLOEXEC) != 0 || unshare(CLONE_NEWNS | CLONE_NEWPID) != 0)
        die("unshare");
    build_tree(image, target, usr);
    pid_t first = fork();
    if (first < 0)
        die("fork");
    if (first == 0) {
        close(alive[1]);
        hold_namespace(cgroups, count, alive[0], program);
    }
    close(alive[0]);

    int status = 0;
    for (;;) {
        if (waitpid(first, &status, WNOHANG) == first)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        struct pollfd server = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(&server, 1, NULL, &open) <= 0)
            continue;
        char byte;
        if (read(STDIN_FILENO, &byte, 1) > 0)
            continue;
        /* Kill first, thaw after: the first thing that a thawed task does is to die. */
        kill(first, SIGKILL);
        write_file(freeze, thaw);
        while (waitpid(first, &status, 0) < 0 && errno == EINTR) {
        }
        return 128 + SIGKILL;
    }
}
