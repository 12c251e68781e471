/*
 * The guest agent of a box, and its protocol with the host.
 *
 * Problem: the host must run commands and move files in a box that may be hostile, without trusting anything that
 * answers, and without an agent that a hostile command could talk to, trace or kill.
 *
 * Shape:
 *   PID 1 dials ctl.sock before any workload exists. For each stream the host sends OPEN {id, kind, token} there; PID 1
 *   forks a worker, the worker dials io.sock and shows id and token. One connection is one command or one file call,
 *   so nothing is multiplexed, and a full socket blocks just the command that fills it.
 *   Programs in the box reach services of the host through ports of the box's own loopback: the forwarder accepts
 *   there, dials gw.sock and passes bytes on.
 *
 * Detached: for a checkpoint PID 1 tells every worker of a command to close its stream, says so, closes ctl and dials
 *   it until somebody answers: the same host, or the one that restored the box, maybe days later. Then the workers dial
 *   again with the tokens that they had.
 *
 * Frame: u32 length of the payload (at most 65536), u8 type, payload. All integers are little-endian.
 *
 * Invariants:
 *   - PID 1 and the workers run as GUEST_UID, commands and file calls as WORK_UID: a command can neither signal nor
 *     trace the agent, nor reach its sockets.
 *   - PID 1 and the workers hold CAP_SETUID, CAP_SETGID and CAP_KILL of the box's own kernel and nothing else;
 *     a command holds none, with no_new_privs.
 *   - A worker is the subreaper of its command and ends only when every descendant is dead.
 *
 * Who dies:
 *   the host        ctl closes, PID 1 exits, the box's kernel ends with it.
 *   PID 1           the box ends; the host sees ctl close.
 *   a worker        its command gets SIGKILL by parent-death signal; leftovers go to PID 1; the host sees its stream
 *                   close without a result and ends the box.
 *   the forwarder   its connections close; PID 1, which holds the ports, starts another.
 *   a command       the worker kills what it left, drains the pipes and reports.
 */
#ifndef CAISSON_GUEST_H
#define CAISSON_GUEST_H

#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

enum { PROTOCOL_VERSION = 2, MAX_FRAME = 65536, FRAME_HEADER = 5, TOKEN_SIZE = 16 };
enum { MAX_FORWARDS = 32, MAX_STAGED = 8 };
enum { GUEST_UID = 10000, WORK_UID = 10001 };

#define CTL_PATH "/run/caisson/ctl.sock"
#define IO_PATH "/run/caisson/io.sock"
#define GW_PATH "/run/caisson/gw.sock"
#define WORKSPACE "/workspace"
#define MACHINE_BOOTED "caisson: the machine boots"

enum frame_type {
    /* ctl, host to guest */
    F_OPEN = 1,         /* u32 id, u8 kind, token */
    F_KILL_ALL = 2,     /* u32 id: kill everything but PID 1 and what forwards */
    F_FORWARD = 3,      /* u32 id, u16 port...: listen on these ports of the box's loopback and no others */
    F_DETACH = 4,       /* u32 id: close every connection to the host; a checkpoint cannot hold one */
    /* ctl, guest to host */
    F_HELLO = 16,       /* u32 version */
    F_KILLED = 17,      /* u32 id */
    F_OPEN_FAILED = 18, /* u32 id, u32 errno */
    F_FORWARDING = 19,  /* u32 id, u32 errno or 0 */
    F_DETACHED = 20,    /* u32 id; the last frame before ctl is closed, to be dialled again */
    /* first frame on gw, guest to host; bytes follow as they are, in both directions */
    F_PORT = 21,        /* u16 port that was dialled */
    /* first frame of a stream, guest to host */
    F_TOKEN = 32,       /* u32 id, token */
    /* exec, host to guest */
    F_ARG = 33,
    F_ENV = 34,
    F_DIR = 35,
    F_START = 36,
    F_STDIN = 37,       /* within the credit; empty means end of file */
    F_KILL = 38,
    F_TERMINAL = 39,    /* u16 rows, u16 columns: before START; stdin, stdout and stderr are one terminal then */
    F_RESIZE = 40,      /* u16 rows, u16 columns */
    /* exec, guest to host */
    F_NOT_STARTED = 48, /* u32 errno, u8 what: 'd' directory, 'x' program, 'f' fork */
    F_CREDIT = 49,      /* u32 bytes of stdin that may follow */
    F_STDOUT = 50,
    F_STDERR = 51,
    F_EXITED = 52,      /* u32 code: 0-255, or 128 + signal */
    /* files, host to guest */
    F_READ = 64,        /* u64 most bytes, path */
    F_WRITE = 65,       /* path; then F_DATA..., F_END */
    F_LIST = 66,        /* u32 most entries, path */
    F_DATA = 67,
    F_END = 68,
    /* files, guest to host */
    F_FAILED = 80,      /* u32 errno */
    F_SIZE = 81,        /* u64 size; then F_DATA..., F_DONE */
    F_ENTRY = 82,       /* u8 kind ('f' 'd' 'l' 'o'), u64 size, name */
    F_DONE = 83,        /* u8 1 when there is more */
};

struct frame {
    uint8_t type;
    uint32_t length;
    uint8_t payload[MAX_FRAME + 1]; /* one more, so that a path can be ended with a zero */
};

/* terminal.c */
struct terminal {
    struct winsize size; /* without rows there is none */
    int slave;
};

int set_size(struct terminal *terminal, const struct frame *frame, int master);
int open_terminal(struct terminal *terminal); /* answers the master's end, or -1 */
void type_signals(const struct terminal *terminal, struct frame *frame);

/* protocol.c: blocking, whole frames. A broken connection ends the process: there is no one left to tell. */
int dial(const char *path);
void send_frame(int fd, uint8_t type, const void *payload, uint32_t length);
void send_u32(int fd, uint8_t type, uint32_t value);
int recv_frame(int fd, struct frame *frame); /* 0 at the end of the stream */
int has_buffered(void);                      /* whether recv_frame has something without waiting */
void forget_buffered(void);                  /* a worker reads another connection than PID 1, which forked it */
void put_u32(uint8_t *to, uint32_t value);
void put_u64(uint8_t *to, uint64_t value);
uint16_t get_u16(const uint8_t *from);
uint32_t get_u32(const uint8_t *from);
uint64_t get_u64(const uint8_t *from);
_Noreturn void die(const char *what);

extern volatile sig_atomic_t detached; /* set and cleared by PID 1 through SIGUSR1 */

int try_dial(const char *path);
int init_main(int host_kernel);
int launch_main(int argc, char **argv);
int vm_main(int argc, char **argv);
int counter_main(void);
int machine_main(void);
void stage(char **names, char **paths, int count);
void map_users(pid_t child, int entered, int mapped);
void enter_user_namespace(int entered, int mapped);
int restrict_calls(void);
int restrict_host_kernel(void);
int drop_capabilities(void);
_Noreturn void forwarder(const int *listeners, const uint16_t *ports, int count);
int listen_on(uint16_t port);
_Noreturn void exec_worker(int stream, const uint8_t *token);
int parent_of(const char *pid); /* -1 where there is no such process */
void kill_descendants(void);
_Noreturn void files_worker(int stream);

#endif
