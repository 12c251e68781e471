/*
 * What a box needs whose kernel is the host's own: to be nobody on the host.
 *
 * Problem: a program that is root of the host's user namespace may write the host's kernel settings, whatever else it
 * is shut in by. And somebody who is not root can reach neither the box's folder nor its mounts.
 *
 * Answer: the launcher, which is root, puts what the box sees below STAGE, in its own mount namespace. Then the box's
 * program gets a user namespace with three users, none of them root outside:
 *      inside     0    the program that makes the box, and the guest agent for its first instructions   outside 10003
 *      inside 10000    the guest agent                                                                   outside 10000
 *      inside 10001    commands, owner of the workspace                                                  outside 10001
 *
 * Who dies: a box whose map cannot be written does not start; there is no way on without it.
 */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE "/run"
enum { BOX_ROOT = 10003, MAX_FILES = 65536 };

/* All are opened first: STAGE may cover the place where they are. */
void stage(char **names, char **paths, int count)
{
    int places[MAX_STAGED];
    for (int i = 0; i < count; i++)
        if ((places[i] = open(paths[i], O_PATH | O_CLOEXEC)) < 0)
            die(paths[i]);
    if (mount("stage", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") != 0)
        die("mount of the stage");
    for (int i = 0; i < count; i++) {
        char from[64], to[128];
        snprintf(from, sizeof from, "/proc/self/fd/%d", places[i]);
        snprintf(to, sizeof to, STAGE "/%.64s", names[i]);
        if (mkdir(to, 0755) != 0 || mount(from, to, NULL, MS_BIND | MS_REC, NULL) != 0)
            die(to);
        close(places[i]);
    }
}

static void write_map(pid_t child, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)child, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    /* In one write, or the kernel refuses it. */
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die(path);
    close(fd);
}

/* In the parent, once the child has said by `entered` that it is in its namespace. */
void map_users(pid_t child, int entered, int mapped)
{
    char map[64], byte;
    snprintf(map, sizeof map, "0 %d 1\n%d %d 2\n", BOX_ROOT, GUEST_UID, GUEST_UID);
    if (read(entered, &byte, 1) != 1)
        _exit(71);
    write_map(child, "uid_map", map);
    write_map(child, "gid_map", map);
    if (write(mapped, "", 1) != 1)
        _exit(71);
}

/* In the child: it comes back as root of the new namespace, which is user 10003 of the host. */
void enter_user_namespace(int entered, int mapped)
{
    struct rlimit files;
    char byte;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_max = files.rlim_max < MAX_FILES ? files.rlim_max : MAX_FILES;
        files.rlim_cur = files.rlim_max < MAX_FILES / 16 ? files.rlim_max : MAX_FILES / 16;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (unshare(CLONE_NEWUSER) != 0)
        die("user namespace");
    if (write(entered, "", 1) != 1 || read(mapped, &byte, 1) != 1)
        _exit(71);
    if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
        die("users of the box");
}
