/*
 * Throws orders at the guest agent, as a host would that is out of its mind, and watches it with the sanitizers.
 *
 *   guest-fuzz SECONDS [SEED]     mutates; prints how often, what it reached, and where it broke
 *   guest-fuzz FILE               one input again, as it was saved
 *
 * Problem: the agent's handling of frames is C, and its functions end the process, fork, and keep state in statics.
 *
 * Answer: every input has a process of its own, made by fork, so nothing has to be put back. An input is: which part of
 * the agent, how many bytes a read may answer (so that frames are split anywhere), then the bytes of the stream.
 * The compiler calls back for every branch; an input that reaches a new one joins those that are mutated.
 *
 * A process that ends by a signal or does not end in time is a failure. Its input is saved.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAP = 1 << 16, MAX_INPUT = 1 << 18, MAX_CORPUS = 4096, HEAD = 2, LIMIT_MS = 10000 };

struct input {
    uint8_t *data;
    size_t length;
};

static struct input corpus[MAX_CORPUS];
static size_t corpus_count;
static uint8_t *map, reached[MAP];
static uint64_t state;
static int stream = -1;
static size_t chunk;
char fuzz_workspace[] = "/tmp/guest-fuzz-XXXXXX";

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__asan_default_options(void) { return "abort_on_error=1:detect_leaks=0:handle_segv=1"; }
const char *__ubsan_default_options(void) { return "abort_on_error=1:print_stacktrace=1"; }

/* ------------------------------------------------------------------------------------------- in the agent's place */

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    static __thread uintptr_t last;
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    if (map != NULL)
        map[(here ^ last >> 1) % MAP]++;
    last = here;
}

/* Control leads to the input, the way out to wall.c; the streams that the agent would open besides lead nowhere. */
int fuzz_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)length;
    if (strstr(address->sa_data, "gw") != NULL)
        return connect(fd, (struct sockaddr *)&fuzz_gw, fuzz_gw_length);
    return strstr(address->sa_data, "ctl") != NULL && dup2(stream, fd) >= 0 ? 0 : (errno = ECONNREFUSED, -1);
}

ssize_t fuzz_read(int fd, void *data, size_t length)
{
    struct stat st;
    return read(fd, data, chunk > 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && length > chunk ? chunk : length);
}

int fuzz_kill(pid_t pid, int signal)
{
    return pid == -1 || pid == 0 || pid == 1 ? (errno = ESRCH, -1) : kill(pid, signal);
}

/* A command that ends at once, one that writes much, one that repeats its input; by the first letter of its name. */
int fuzz_exec(const char *file, char *const argv[], char *const env[])
{
    static char page[4096];
    (void)argv, (void)env;
    if (file[0] == '/') {
        errno = ENOENT;
        return -1;
    }
    syscall(SYS_close_range, 3, ~0u, 0);
    for (int i = 0; file[0] == 'o' && i < 50; i++)
        if (write(1, page, sizeof page) < 0)
            _exit(1);
    ssize_t n;
    while (file[0] != 'x' && (n = read(0, page, sizeof page)) > 0)
        if (write(1, page, (size_t)n) < 0)
            _exit(1);
    _exit(7);
}

int restrict_calls(void) { return 0; }
int restrict_host_kernel(void) { return 0; }
int fuzz_listen_on(uint16_t port) { return port == 0 ? (errno = EACCES, -1) : open("/dev/null", O_RDONLY | O_CLOEXEC); }

_Noreturn void fuzz_forwarder(const int *listeners, const uint16_t *ports, int count)
{
    (void)listeners, (void)ports, (void)count;
    for (;;)
        pause();
}

static _Noreturn void be_agent(uint8_t part)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    if (part % 4 == 0)
        _exit(init_main(0));
    static const uint8_t token[4 + TOKEN_SIZE];
    if (part % 4 == 3)
        wall_main(stream);
    if (part % 4 == 1)
        exec_worker(stream, token);
    files_worker(stream);
}

/* ------------------------------------------------------------------------------------------------------ one input */

/* Answers how the process ended, or -1 when it did not. */
static int run(const uint8_t *data, size_t length)
{
    int ends[2];
    static uint8_t answers[1 << 16];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        exit(70);
    memset(map, 0, MAP);
    chunk = data[1];
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        stream = ends[0];
        be_agent(data[0]);
    }
    close(ends[0]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    int ended = (int)syscall(SYS_pidfd_open, pid, 0), status = -1, waited = 0;
    size_t sent = HEAD;
    while (waited < LIMIT_MS) {
        struct pollfd fds[2] = {{.fd = ended, .events = POLLIN}, {.fd = ends[1], .events = (short)(sent < length ? POLLIN | POLLOUT : POLLIN)}};
        if (poll(fds, 2, 100) == 0)
            waited += 100;
        if (fds[0].revents != 0) {
            waitpid(pid, &status, 0);
            break;
        }
        if (fds[1].revents & POLLIN)
            while (read(ends[1], answers, sizeof answers) > 0) {
            }
        if (sent < length && fds[1].revents != 0) {
            ssize_t n = send(ends[1], data + sent, length - sent, MSG_NOSIGNAL);
            sent = n > 0 ? sent + (size_t)n : errno == EAGAIN ? sent : length;
        }
        if (sent == length && fcntl(ends[1], F_GETFD) >= 0)
            shutdown(ends[1], SHUT_WR);
    }
    kill(-pid, SIGKILL);
    if (status == -1)
        waitpid(pid, NULL, 0);
    close(ended);
    close(ends[1]);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return status;
}

static int is_new(void)
{
    int any = 0;
    for (int i = 0; i < MAP; i++) {
        uint8_t bucket = map[i] == 0 ? 0 : map[i] < 4 ? (uint8_t)(1 << (map[i] - 1)) : map[i] < 16 ? 8 : map[i] < 64 ? 16 : 32;
        any |= (bucket & ~reached[i]) != 0;
        reached[i] |= bucket;
    }
    return any;
}

static void keep(const uint8_t *data, size_t length)
{
    if (corpus_count == MAX_CORPUS)
        return;
    uint8_t *copy = malloc(length);
    memcpy(copy, data, length);
    corpus[corpus_count++] = (struct input){copy, length};
}

/* Answers whether the agent stood it. */
static int try(const uint8_t *data, size_t length)
{
    int status = run(data, length);
    if (is_new())
        keep(data, length);
    if (status != -1 && !WIFSIGNALED(status))
        return 1;
    char name[64];
    snprintf(name, sizeof name, "/tmp/guest-fuzz-failure-%d", (int)getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, length) != (ssize_t)length)
        perror(name);
    printf("FAILED: %s; the input is %s\n", status == -1 ? "it does not end" : strsignal(WTERMSIG(status)), name);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- mutation */

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static size_t add_frame(uint8_t *data, size_t at, uint8_t type, const void *payload, uint32_t length)
{
    if (at + FRAME_HEADER + length > MAX_INPUT)
        return at;
    put_u32(data + at, length);
    data[at + 4] = type;
    memcpy(data + at + FRAME_HEADER, payload, length);
    return at + FRAME_HEADER + length;
}

static size_t mutate(uint8_t *data, size_t length)
{
    static const uint8_t types[] = {F_DETACH, 1, 2, 3, 33, 34, 35, 36, 37, 38, 39, 40, 64, 65, 66, 67, 68, 0, 255};
    static const uint32_t lengths[] = {0, 1, 4, 5, 8, 20, 21, 22, 65535, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff};
    static uint8_t payload[MAX_FRAME];
    size_t at = length > HEAD ? HEAD + draw((uint32_t)(length - HEAD)) : HEAD;
    switch (draw(9)) {
    case 0:
        data[draw((uint32_t)length)] ^= (uint8_t)(1 << draw(8));
        return length;
    case 1:
        data[draw((uint32_t)length)] = (uint8_t)draw(256);
        return length;
    case 2:
        if (at + 4 <= length)
            put_u32(data + at, lengths[draw(sizeof lengths / sizeof lengths[0])]);
        return length;
    case 3:
        return at;
    case 4: {
        size_t cut = draw((uint32_t)(length - at) + 1);
        memmove(data + at, data + at + cut, length - at - cut);
        return length - cut;
    }
    case 5: {
        const struct input *other = &corpus[draw((uint32_t)corpus_count)];
        size_t part = other->length - HEAD < MAX_INPUT - at ? other->length - HEAD : MAX_INPUT - at;
        memcpy(data + at, other->data + HEAD, part);
        return at + part;
    }
    case 6:
        data[1] = (uint8_t)draw(16);
        return length;
    default: {
        static const uint32_t sizes[] = {0, 1, 4, 6, 8, 21, 40, 68, 70, 4096, 65536};
        uint32_t size = sizes[draw(sizeof sizes / sizeof sizes[0])];
        memset(payload, draw(4) == 0 ? '/' : draw(4) == 0 ? '.' : (int)draw(256), size);
        return add_frame(data, draw(2) == 0 ? length : at, types[draw(sizeof types)], payload, size);
    }
    }
}

/* Conversations as they are meant to be. */
static void seed_corpus(void)
{
    static uint8_t data[MAX_INPUT];
    uint8_t open[25] = {1, 0, 0, 0, 1}, size[4] = {24, 0, 80, 0}, forward[8] = {9, 0, 0, 0, 80, 31, 81, 31};
    for (uint8_t part = 0; part < 4; part++)
        for (int i = 0; i < 6; i++) {
            size_t at = HEAD;
            data[0] = part;
            data[1] = i % 2 == 0 ? 0 : 3;
            if (part == 3) {
                at += wall_seed(data + at, i);
            } else if (part == 0) {
                open[4] = (uint8_t)(1 + i % 2);
                at = add_frame(data, at, F_OPEN, open, 21);
                at = add_frame(data, at, F_FORWARD, forward, i < 3 ? 8 : 4);
                at = add_frame(data, at, F_KILL_ALL, "\7\0\0\0", 4);
                at = add_frame(data, at, F_OPEN, open, 21);
            } else if (part == 1) {
                at = add_frame(data, at, F_ARG, i % 3 == 0 ? "cat" : i % 3 == 1 ? "out" : "x", i % 3 == 2 ? 1 : 3);
                at = add_frame(data, at, F_ENV, "A=b", 3);
                at = i == 5 ? add_frame(data, at, F_DIR, "sub", 3) : at;
                at = i >= 3 ? add_frame(data, at, F_TERMINAL, size, 4) : at;
                at = add_frame(data, at, F_START, "", 0);
                at = add_frame(data, at, F_STDIN, "hello\n\003", 7);
                at = i >= 3 ? add_frame(data, at, F_RESIZE, size, 4) : at;
                at = add_frame(data, at, F_STDIN, "", 0);
                at = i % 2 == 0 ? add_frame(data, at, F_KILL, "", 0) : at;
            } else if (i < 2) {
                at = add_frame(data, at, F_READ, "\377\377\0\0\0\0\0\0sub/../file" + (i == 0 ? 0 : 0), 8 + 11);
            } else if (i < 4) {
                at = add_frame(data, at, F_WRITE, i == 2 ? "sub/made" : "a/b/c", i == 2 ? 8 : 5);
                at = add_frame(data, at, F_DATA, "content", 7);
                at = add_frame(data, at, F_END, "", 0);
            } else {
                at = add_frame(data, at, F_LIST, i == 4 ? "\5\0\0\0." : "\1\0\0\0sub", i == 4 ? 5 : 7);
            }
            if (!try(data, at))
                exit(1);
        }
}

static void make_workspace(void)
{
    if (mkdtemp(fuzz_workspace) == NULL || chdir(fuzz_workspace) != 0 || mkdir("sub", 0755) != 0 || symlink("/etc", "link") != 0 || mkfifo("pipe", 0644) != 0)
        exit(70);
    int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "content of a file", 17) != 17)
        exit(70);
    close(fd);
}

static int remove_workspace(int code)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", fuzz_workspace);
    return chdir("/") != 0 || system(command) != 0 ? 70 : code;
}

int main(int argc, char **argv)
{
    static uint8_t data[MAX_INPUT + 1];
    map = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setenv("CAISSON_TERMINAL_SIGNALS", "1", 1);
    int file = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    make_workspace();
    if (file >= 0) {
        ssize_t n = read(file, data, MAX_INPUT);
        return remove_workspace(n > HEAD && !try(data, (size_t)n));
    }
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
    state = seed;
    seed_corpus();
    unsigned long runs = 0;
    for (int stood = 1; time(NULL) < end; runs++) {
        const struct input *from = &corpus[draw((uint32_t)corpus_count)];
        size_t length = from->length;
        memcpy(data, from->data, length);
        for (uint32_t i = 1 + draw(6); i > 0; i--)
            length = mutate(data, length);
        if (length > HEAD && !(stood = try(data, length))) {
            printf("seed %#llx, after %lu inputs\n", (unsigned long long)seed, runs);
            return remove_workspace(1);
        }
    }
    int places = 0;
    for (int i = 0; i < MAP; i++)
        places += reached[i] != 0;
    printf("%lu inputs, %zu kept, %d branches, seed %#llx\n", runs, corpus_count, places, (unsigned long long)seed);
    return remove_workspace(0);
}
