/*
 * One file call beneath the workspace, done as the workload's uid: the box's kernel checks permissions, and a link
 * planted by the workload leads nowhere because no component is followed.
 *
 * Why a walk of our own and not openat2(RESOLVE_BENEATH): gVisor answers ENOSYS to openat2.
 * Why never O_DIRECTORY with O_NOFOLLOW: gVisor then follows the link. Without it, it refuses as it should.
 */
#include "guest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static struct frame frame;

static _Noreturn void fail(int stream, int error)
{
    send_u32(stream, F_FAILED, (uint32_t)error);
    _exit(0);
}

static int open_directory(int parent, const char *name)
{
    struct stat st;
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))) {
        close(fd);
        errno = ENOTDIR;
        return -1;
    }
    return fd;
}

/*
 * Opens the directory that holds the last component of the path and answers that component in *last, which is "."
 * for the workspace itself. Folders that are missing are made when `make` says so.
 */
static int open_parent(int stream, char *path, int make, char **last)
{
    int directory = open(WORKSPACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        fail(stream, errno);
    if (path[0] == '/')
        fail(stream, EXDEV);
    char *rest = path, *name = strsep(&rest, "/");
    for (;;) {
        while (rest != NULL && (name[0] == 0 || strcmp(name, ".") == 0))
            name = strsep(&rest, "/");
        if (strcmp(name, "..") == 0)
            fail(stream, EXDEV);
        /* A trailing slash or dot leaves an empty last name: it means the directory reached. */
        if (rest == NULL || rest[strspn(rest, "/")] == 0) {
            *last = name[0] == 0 ? "." : name;
            return directory;
        }
        if (make && mkdirat(directory, name, 0755) != 0 && errno != EEXIST)
            fail(stream, errno);
        int next = open_directory(directory, name);
        if (next < 0)
            fail(stream, errno);
        close(directory);
        directory = next;
        name = strsep(&rest, "/");
    }
}

static void read_file(int stream, uint64_t most, char *path)
{
    char *name;
    int directory = open_parent(stream, path, 0, &name);
    /* Not blocking: a pipe or device of the workload must not hold the call. */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fail(stream, errno);
    struct stat st;
    if (fstat(fd, &st) != 0)
        fail(stream, errno);
    if (S_ISDIR(st.st_mode))
        fail(stream, EISDIR);
    if (!S_ISREG(st.st_mode))
        fail(stream, EINVAL);
    uint8_t size[8];
    put_u64(size, (uint64_t)st.st_size);
    send_frame(stream, F_SIZE, size, sizeof size);
    while (most > 0) {
        ssize_t n = read(fd, frame.payload, most < MAX_FRAME ? most : MAX_FRAME);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(stream, errno);
        if (n == 0)
            break;
        send_frame(stream, F_DATA, frame.payload, (uint32_t)n);
        most -= (uint64_t)n;
    }
    send_frame(stream, F_DONE, "\0", 1);
}

static void write_file(int stream, char *path)
{
    char *name, temporary[64];
    uint64_t random;
    int directory = open_parent(stream, path, 1, &name);
    if (strcmp(name, ".") == 0)
        fail(stream, EISDIR);
    struct stat st;
    int exists = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && S_ISDIR(st.st_mode))
        fail(stream, EISDIR);
    mode_t mode = exists && S_ISREG(st.st_mode) ? st.st_mode & 0777 : 0644;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        fail(stream, errno);
    snprintf(temporary, sizeof temporary, ".caisson-%016llx", (unsigned long long)random);
    int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(stream, errno);
    int error = 0;
    for (;;) {
        if (!recv_frame(stream, &frame) || (frame.type != F_DATA && frame.type != F_END)) {
            unlinkat(directory, temporary, 0);
            _exit(71);
        }
        if (frame.type == F_END)
            break;
        /* After a failure the rest is still taken, so that the host is not stuck in the middle of sending it. */
        for (uint32_t done = 0; error == 0 && done < frame.length;) {
            ssize_t n = write(fd, frame.payload + done, frame.length - done);
            if (n < 0 && errno != EINTR)
                error = errno;
            else if (n > 0)
                done += (uint32_t)n;
        }
    }
    if (error == 0 && fchmod(fd, mode) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && renameat(directory, temporary, directory, name) != 0)
        error = errno;
    if (error != 0) {
        unlinkat(directory, temporary, 0);
        fail(stream, error);
    }
    send_frame(stream, F_DONE, "\0", 1);
}

static uint8_t kind_of(mode_t mode)
{
    return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : 'o';
}

static void list_files(int stream, uint32_t most, char *path)
{
    char *name;
    int parent = open_parent(stream, path, 0, &name);
    int fd = open_directory(parent, name);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL)
        fail(stream, errno);
    uint8_t entry[1 + 8 + 256], more = 0;
    for (struct dirent *item; (item = readdir(directory)) != NULL;) {
        size_t length = strlen(item->d_name);
        struct stat st;
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0 || length > 255 ||
            fstatat(fd, item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (most-- == 0) {
            more = 1;
            break;
        }
        entry[0] = kind_of(st.st_mode);
        put_u64(entry + 1, (uint64_t)st.st_size);
        memcpy(entry + 9, item->d_name, length);
        send_frame(stream, F_ENTRY, entry, (uint32_t)(9 + length));
    }
    send_frame(stream, F_DONE, &more, 1);
}

_Noreturn void files_worker(int stream)
{
    /* Only the effective ids: the real and saved ones stay the agent's, so the workload cannot signal this process. */
    if (setresgid(-1, WORK_UID, -1) != 0 || setresuid(-1, WORK_UID, -1) != 0)
        _exit(72);
    umask(022);
    if (!recv_frame(stream, &frame))
        _exit(71);
    char *path = (char *)frame.payload;
    size_t head = frame.type == F_READ ? 8 : frame.type == F_LIST ? 4 : 0;
    if (frame.length < head || strlen(path + head) != frame.length - head)
        _exit(65);
    /* The buffer is used again for data, the path must outlive it. */
    path = strdup(path + head);
    if (path == NULL)
        _exit(71);
    if (frame.type == F_READ)
        read_file(stream, get_u64(frame.payload), path);
    else if (frame.type == F_WRITE)
        write_file(stream, path);
    else if (frame.type == F_LIST)
        list_files(stream, get_u32(frame.payload), path);
    else
        _exit(65);
    _exit(0);
}
