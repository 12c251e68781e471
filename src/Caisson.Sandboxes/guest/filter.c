/*
 * System calls that commands do without. gVisor answers all of them in its own kernel, so this is not the wall; it is
 * less of the wall's surface within reach:
 *   - a user namespace would give a command every capability over namespaces of its own;
 *   - extended attributes are not part of a saved workspace, so there are none, which also spares `ls -l` gVisor's
 *     wrong answer for those of links (EBADF).
 * What is refused is refused as an old or small kernel would, so that programs take their other way.
 */
#include "guest.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "The numbers of system calls are those of x86-64 and arm64."
#endif

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define IF(call, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, skip)
#define REFUSE(call, error) IF(call, 1), ANSWER(error)

/* Devices are not made; pipes, sockets and plain files are. The mode's type is compared with S_IFCHR and S_IFBLK. */
#define REFUSE_DEVICES(call, mode)                                                                                     \
    IF(call, 6), LOAD(args[mode]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf000),                                        \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x2000, 1, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x6000, 0, 1),          \
        ANSWER(EPERM), ALLOW

int restrict_calls(void)
{
    static struct sock_filter filter[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        REFUSE(unshare, EPERM),
        REFUSE(setns, EPERM),
        REFUSE(mount, EPERM),
        REFUSE(umount2, EPERM),
        REFUSE(pivot_root, EPERM),
        REFUSE(chroot, EPERM),
        REFUSE(io_uring_setup, ENOSYS),
        REFUSE(userfaultfd, ENOSYS),
        REFUSE(bpf, EPERM),
        REFUSE(perf_event_open, EPERM),
        REFUSE(kcmp, ENOSYS),
        REFUSE(keyctl, ENOSYS),
        REFUSE(add_key, ENOSYS),
        REFUSE(request_key, ENOSYS),
        REFUSE(setxattr, EOPNOTSUPP),
        REFUSE(lsetxattr, EOPNOTSUPP),
        REFUSE(fsetxattr, EOPNOTSUPP),
        REFUSE(getxattr, EOPNOTSUPP),
        REFUSE(lgetxattr, EOPNOTSUPP),
        REFUSE(fgetxattr, EOPNOTSUPP),
        REFUSE(listxattr, EOPNOTSUPP),
        REFUSE(llistxattr, EOPNOTSUPP),
        REFUSE(flistxattr, EOPNOTSUPP),
        /* Its flags are in memory, where a filter cannot look; without it the C library uses clone. */
        REFUSE(clone3, ENOSYS),
        IF(clone, 4),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
        ANSWER(EPERM),
        ALLOW,
        /* Types into the terminal of somebody else. */
        IF(ioctl, 4),
        LOAD(args[1]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 0, 1),
        ANSWER(EPERM),
        ALLOW,
        /* Addresses stay random; that anybody asks for the present setting is usual. */
        IF(personality, 5),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1),
        ALLOW,
        ANSWER(EPERM),
        REFUSE_DEVICES(mknodat, 2),
#ifdef SYS_mknod
        REFUSE_DEVICES(mknod, 1),
#endif
        ALLOW,
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
