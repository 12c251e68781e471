/*
 * Put before every source of the guest agent that is fuzzed: it runs as an ordinary process there, and what it is told
 * comes from fuzz.c. What would reach further than this process and its children is taken out of its hands.
 */
#include "../guest.h"
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char fuzz_workspace[];
int fuzz_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t fuzz_read(int fd, void *data, size_t length);
int fuzz_kill(pid_t pid, int signal);
int fuzz_exec(const char *file, char *const argv[], char *const env[]);

int fuzz_listen_on(uint16_t port);
_Noreturn void fuzz_forwarder(const int *listeners, const uint16_t *ports, int count);

static inline int fuzz_nothing(long first, ...)
{
    (void)first;
    return 0;
}

#undef WORKSPACE
#define WORKSPACE fuzz_workspace
#define connect fuzz_connect
#define read fuzz_read
#define kill fuzz_kill
#define execvpe fuzz_exec
#define vfork fork
#define setgroups fuzz_nothing
#define setresuid fuzz_nothing
#define setresgid fuzz_nothing
#define setrlimit fuzz_nothing
#define syscall fuzz_nothing
#define dprintf fuzz_nothing

/* What the agent starts beside itself is a part of its own here. */
#ifndef FUZZED_forward
#define listen_on fuzz_listen_on
#define forwarder fuzz_forwarder
#endif
