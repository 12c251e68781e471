/*
 * System calls of a box whose kernel is the host's own: the wall of the `bubblewrap` kind, beside its namespaces.
 *
 * Problem: every call that is let through is a part of the host's kernel that a command may look for a mistake in.
 *
 * Answer: a list of what programs use, in the spirit of Docker's default, and nothing else. What is not on it answers
 * ENOSYS, as on a kernel without it, so that programs take their other way; what a program would take for a kernel's
 * absence of rights answers EPERM. Some that are let through are so with some arguments only.
 *
 * Invariants:
 *   - Installed by PID 1 before it dials: whatever runs in the box has it, and nothing can take it off.
 *   - The filter of filter.c comes on top of it for commands.
 *   - Only numbers of this machine's own ABI pass; those of x32 have a bit that no entry has.
 *
 * Who dies: a program that calls through another ABI (int 0x80), at once.
 */
#include "guest.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* The kernel's own numbers where this C library is older than the call. */
enum { CALL_FCHMODAT2 = 452, CALL_FUTEX_WAKE = 454, CALL_FUTEX_WAIT = 455, CALL_FUTEX_REQUEUE = 456 };

static const uint16_t allowed[] = {
    /* files */
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
    SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
    SYS_lseek, SYS_dup, SYS_dup3, SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range,
    SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir,
    SYS_renameat, SYS_renameat2, SYS_mkdirat, SYS_unlinkat, SYS_linkat, SYS_symlinkat, SYS_readlinkat, SYS_mknodat, SYS_umask,
    SYS_fchmod, SYS_fchmodat, CALL_FCHMODAT2, SYS_fchown, SYS_fchownat, SYS_faccessat, SYS_faccessat2, SYS_utimensat,
    SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_tee, SYS_pipe2, SYS_memfd_create,
    SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
    SYS_io_setup, SYS_io_destroy, SYS_io_submit, SYS_io_cancel, SYS_io_getevents, SYS_io_pgetevents,
    /* memory */
    SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk, SYS_mremap, SYS_msync, SYS_mincore, SYS_madvise, SYS_remap_file_pages,
    SYS_mlock, SYS_mlock2, SYS_munlock, SYS_mlockall, SYS_munlockall, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl,
    SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl,
    SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
    /* processes */
    SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_kill, SYS_tkill, SYS_tgkill,
    SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_pidfd_open, SYS_pidfd_send_signal,
    SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups,
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups,
    SYS_capget, SYS_capset, SYS_prctl, SYS_seccomp, SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self,
    SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage, SYS_times, SYS_sysinfo, SYS_uname, SYS_getcpu,
    SYS_getpriority, SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_sched_yield, SYS_sched_getparam, SYS_sched_setparam,
    SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval,
    SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getattr, SYS_sched_setattr,
    SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_membarrier, SYS_restart_syscall,
    SYS_futex, SYS_futex_waitv, CALL_FUTEX_WAKE, CALL_FUTEX_WAIT, CALL_FUTEX_REQUEUE, SYS_getrandom,
    /* signals, time, waiting */
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_signalfd4, SYS_eventfd2,
    SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getitimer, SYS_setitimer,
    SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete,
    SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
    /* sockets; which, is decided below */
    SYS_connect, SYS_accept, SYS_accept4, SYS_bind, SYS_listen, SYS_shutdown, SYS_getsockname, SYS_getpeername,
    SYS_setsockopt, SYS_getsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
#if defined(__x86_64__)
    SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_dup2, SYS_pipe, SYS_getdents, SYS_rename, SYS_mkdir, SYS_rmdir,
    SYS_link, SYS_unlink, SYS_symlink, SYS_readlink, SYS_mknod, SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
    SYS_inotify_init, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_signalfd,
    SYS_fork, SYS_vfork, SYS_getpgrp, SYS_pause, SYS_alarm, SYS_time, SYS_arch_prctl,
#endif
};

/* Refused with EPERM: a program would hold ENOSYS for a kernel without them, and look for another one. */
static const uint16_t forbidden[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_open_tree,
    SYS_move_mount, SYS_mount_setattr, SYS_unshare, SYS_setns, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_acct, SYS_quotactl,
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_bpf, SYS_perf_event_open,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_open_by_handle_at, SYS_name_to_handle_at,
    SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_settimeofday, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_vhangup,
};

/* From <asm/ioctls.h>: typing into somebody's terminal, drawing on the console, and line disciplines, which load modules. */
enum { IOCTL_TIOCSTI = 0x5412, IOCTL_TIOCLINUX = 0x541c, IOCTL_TIOCSETD = 0x5423 };

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static struct sock_filter filter[1024];
static unsigned short length;

static void add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) { filter[length++] = (struct sock_filter){code, yes, no, k}; }

static void load(uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }

/* Arguments that are looked at are of 32 bits in the kernel too, so the low half is all of them. */
static void load_argument(int which) { load((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (unsigned)which)); }

static void skip_unless(uint32_t value, uint8_t instructions) { add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, instructions); }

static void answer(uint32_t what) { add(BPF_RET | BPF_K, what, 0, 0); }

static void answer_if(uint32_t value, uint32_t what)
{
    skip_unless(value, 1);
    answer(what);
}

#define ERROR(number) (SECCOMP_RET_ERRNO | (number))

/* Families without privileges and without modules behind them; of the internet, only TCP and UDP. */
static void decide_sockets(uint32_t call)
{
    skip_unless(call, 12);
    load_argument(0);
    answer_if(AF_UNIX, SECCOMP_RET_ALLOW);
    add(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
    answer(ERROR(EAFNOSUPPORT));
    load_argument(2);
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, 17, 1, 0);
    answer(ERROR(EPROTONOSUPPORT));
    answer(SECCOMP_RET_ALLOW);
}

int restrict_host_kernel(void)
{
    length = 0;
    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    answer(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        answer_if(allowed[i], SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        answer_if(forbidden[i], ERROR(EPERM));

    /* Its flags are in registers; those of clone3 are in memory, where a filter cannot look: that one is not known. */
    skip_unless(SYS_clone, 4);
    load_argument(0);
    add(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1);
    answer(ERROR(EPERM));
    answer(SECCOMP_RET_ALLOW);

    skip_unless(SYS_ioctl, 8);
    load_argument(1);
    answer_if(IOCTL_TIOCSTI, ERROR(EPERM));
    answer_if(IOCTL_TIOCLINUX, ERROR(EPERM));
    answer_if(IOCTL_TIOCSETD, ERROR(EPERM));
    answer(SECCOMP_RET_ALLOW);

    /* The plain one, and the question which it is. */
    skip_unless(SYS_personality, 6);
    load_argument(0);
    answer_if(0, SECCOMP_RET_ALLOW);
    answer_if(0xffffffff, SECCOMP_RET_ALLOW);
    answer(ERROR(EPERM));

    decide_sockets(SYS_socket);
    decide_sockets(SYS_socketpair);
    answer(ERROR(ENOSYS));

    struct sock_fprog program = {.len = length, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
