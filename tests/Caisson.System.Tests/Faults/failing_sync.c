/* Preloaded into a server under test: while the file named by FAIL_SYNC exists, the disk fails its syncs. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(void)
{
    const char *file = getenv("FAIL_SYNC");
    return file != NULL && access(file, F_OK) == 0;
}

static int sync_by(long call, int descriptor)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, descriptor);
}

int fsync(int descriptor)
{
    return sync_by(SYS_fsync, descriptor);
}

int fdatasync(int descriptor)
{
    return sync_by(SYS_fdatasync, descriptor);
}
