/*
 * The end of everything that a command has started. The worker is the subreaper of it all, so what loses its parent becomes
 * the worker's own child; but numbers of processes are all there is to find the others by, and they are read from /proc.
 */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROCESSES = 16384 };

int parent_of(const char *pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    if (n <= 0)
        return -1;
    line[n] = 0;
    /* The name stands in brackets and may hold brackets itself: the last one ends it. */
    char *end = strrchr(line, ')'), state;
    int parent;
    return end != NULL && sscanf(end + 1, " %c %d", &state, &parent) == 2 ? parent : -1;
}

/* Sends SIGKILL to every descendant of this worker. A process may fork meanwhile: the caller comes again. */
void kill_descendants(void)
{
    static pid_t pids[MAX_PROCESSES], parents[MAX_PROCESSES];
    static uint8_t ours[MAX_PROCESSES];
    int count = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        _exit(71);
    for (struct dirent *entry; count < MAX_PROCESSES && (entry = readdir(proc)) != NULL;) {
        int pid = atoi(entry->d_name);
        if (pid <= 1 || pid == getpid())
            continue;
        pids[count] = pid;
        parents[count] = parent_of(entry->d_name);
        ours[count++] = 0;
    }
    closedir(proc);
    for (int changed = 1; changed;) {
        changed = 0;
        for (int i = 0; i < count; i++) {
            if (ours[i])
                continue;
            int mine = parents[i] == getpid();
            for (int j = 0; !mine && j < count; j++)
                mine = ours[j] && parents[i] == pids[j];
            if (mine) {
                ours[i] = 1;
                changed = 1;
                kill(pids[i], SIGKILL);
            }
        }
    }
}
