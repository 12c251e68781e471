/*
 * The starter of a virtual machine, on the host: what of its box's folders the machine shares, and QEMU without rights.
 *
 *   caisson-guest vm --user UID --carrier SOCKET --kernel FILE --initramfs FILE --virtiofsd FILE --tree DIR --mount DIR
 *                    --files DIR --root DIR -- QEMU ARGUMENTS...
 *
 * It runs in the mount and PID namespace that the launcher has made (guest/launch.c), and like runsc it ends when the box
 * runs: the first process of that namespace then holds two virtiofsd (each with a child) and QEMU, and one of them that
 * ends is the box's end.
 *
 * QEMU finds open: VM_CARRIER to the carrier, VM_ROOT and VM_BOX to the two virtiofsd, VM_KERNEL and
 * VM_INITRAMFS. So it needs nothing of the host but its programs: it has a root folder with /usr in it and no more, and
 * it and virtiofsd (which shuts itself into the folder that it shares) a network namespace in which there is nothing.
 */
#include "guest.h"
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { VM_CARRIER = 10, VM_ROOT = 11, VM_BOX = 12, VM_INITRAMFS = 13, VM_KERNEL = 14, VM_LISTENER = 15 };

static void bind_read_only(const char *from, const char *to)
{
    if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) != 0 ||
        mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        die(to);
}

static void give(const char *path, int number)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        die(path);
    dup2(file, number);
    close(file);
}

/* A socket's name has room for 107 bytes; through its open folder it is short wherever the folder is. */
static int dial_in_folder(const char *path)
{
    char folder[4096], name[64];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
    int parent = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        die(folder);
    snprintf(name, sizeof name, "/proc/self/fd/%d/%.32s", parent, slash + 1);
    int link = dial(name);
    close(parent);
    return link;
}

/* Answers QEMU's end of a connection to a virtiofsd that shares the folder. */
static void share(const char *virtiofsd, const char *folder, const char *options, int number)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t);
    /* The kernel makes up a name in this network namespace, in which nobody else is. */
    if (listener < 0 || own < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0)
        die("socket");
    length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0 || connect(own, (struct sockaddr *)&address, length) != 0)
        die("socket");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        char source[4096], descriptor[32];
        snprintf(source, sizeof source, "source=%s", folder);
        snprintf(descriptor, sizeof descriptor, "--fd=%d", VM_LISTENER);
        dup2(listener, VM_LISTENER);
        close(VM_CARRIER);
        close(VM_ROOT);
        close(VM_INITRAMFS);
        close(VM_KERNEL);
        execl(virtiofsd, virtiofsd, descriptor, "-o", source, "-o", options, "-o", "log_level=err", NULL);
        die(virtiofsd);
    }
    close(listener);
    dup2(own, number);
    close(own);
}

static void bind_into(const char *root, const char *path, unsigned long flags)
{
    char target[4096];
    snprintf(target, sizeof target, "%s%s", root, path);
    if (mount(path, target, NULL, MS_BIND, NULL) != 0 || mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | flags, NULL) != 0)
        die(target);
}

/* What breaks out of the machine finds the system's programs, and nothing of the host but them. */
static void enter_empty_root(const char *root)
{
    static const char *const folders[] = {"usr", "proc", "dev"}, *const links[] = {"bin", "lib", "lib64"};
    static const char *const devices[] = {"/dev/null", "/dev/kvm"};
    if (unshare(CLONE_NEWNS) != 0 || mount("machine", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=64k") != 0 || chdir(root) != 0)
        die(root);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (mkdir(folders[i], 0755) != 0)
            die(folders[i]);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        char target[16];
        snprintf(target, sizeof target, "usr/%s", links[i]);
        if (symlink(target, links[i]) != 0)
            die(links[i]);
    }
    bind_into(root, "/usr", MS_RDONLY | MS_NODEV);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (access(devices[i], F_OK) != 0)
            continue;
        int file = open(devices[i] + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0)
            die(devices[i]);
        close(file);
        bind_into(root, devices[i], MS_NOEXEC);
    }
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ||
        mount(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ||
        syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        die("pivot_root");
}

static void be_nobody(long user)
{
    /* Only whoever may open the device can use the processor's own virtualization. */
    struct stat kvm;
    gid_t group = stat("/dev/kvm", &kvm) == 0 && (kvm.st_mode & S_IRGRP) != 0 ? kvm.st_gid : (gid_t)user;
    if (setgroups(1, &group) != 0 || setresgid((gid_t)user, (gid_t)user, (gid_t)user) != 0 ||
        setresuid((uid_t)user, (uid_t)user, (uid_t)user) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("user");
}

int vm_main(int argc, char **argv)
{
    char *carrier = NULL, *kernel = NULL, *initramfs = NULL, *root = NULL, *virtiofsd = NULL, *tree = NULL, *target = NULL, *files = NULL, **program = NULL;
    long user = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            program = argv + i + 1;
            break;
        }
        if (i + 1 >= argc)
            return 64;
        if (strcmp(argv[i], "--user") == 0)
            user = atol(argv[++i]);
        else if (strcmp(argv[i], "--carrier") == 0)
            carrier = argv[++i];
        else if (strcmp(argv[i], "--kernel") == 0)
            kernel = argv[++i];
        else if (strcmp(argv[i], "--root") == 0)
            root = argv[++i];
        else if (strcmp(argv[i], "--initramfs") == 0)
            initramfs = argv[++i];
        else if (strcmp(argv[i], "--virtiofsd") == 0)
            virtiofsd = argv[++i];
        else if (strcmp(argv[i], "--tree") == 0)
            tree = argv[++i];
        else if (strcmp(argv[i], "--mount") == 0)
            target = argv[++i];
        else if (strcmp(argv[i], "--files") == 0)
            files = argv[++i];
        else
            return 64;
    }
    if (program == NULL || user <= 0 || carrier == NULL || kernel == NULL || initramfs == NULL || root == NULL || virtiofsd == NULL || tree == NULL || target == NULL || files == NULL)
        return 64;

    char folder[4096];
    snprintf(folder, sizeof folder, "%s/f", target);
    if (mkdir(folder, 0755) != 0)
        die(folder);
    bind_read_only(files, folder);
    bind_read_only(tree, tree);
    int link = dial_in_folder(carrier);
    dup2(link, VM_CARRIER);
    close(link);
    give(initramfs, VM_INITRAMFS);
    give(kernel, VM_KERNEL);
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        die("unshare");
    /* The tree never changes; of the box's own folder nothing may be known from before, since the host writes there too. */
    share(virtiofsd, tree, "cache=always,no_xattr", VM_ROOT);
    share(virtiofsd, target, "cache=auto,timeout=0,no_xattr", VM_BOX);
    pid_t machine = fork();
    if (machine < 0)
        die("fork");
    if (machine == 0) {
        /* What the machine's console says goes where errors go. */
        dup2(STDERR_FILENO, STDOUT_FILENO);
        enter_empty_root(root);
        be_nobody(user);
        execv(program[0], program);
        die(program[0]);
    }
    return 0;
}

/* Prints how often in a millisecond the processor's counter ticks, which an emulated processor hands on as its own. */
int counter_main(void)
{
#ifdef __x86_64__
    struct timespec start, end, pause = {.tv_nsec = 50000000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t first = __builtin_ia32_rdtsc();
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t ticks = __builtin_ia32_rdtsc() - first;
    uint64_t nanoseconds = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000 + (uint64_t)end.tv_nsec - (uint64_t)start.tv_nsec;
    printf("%llu\n", (unsigned long long)(ticks * 1000000 / nanoseconds));
    return 0;
#else
    return 64;
#endif
}
