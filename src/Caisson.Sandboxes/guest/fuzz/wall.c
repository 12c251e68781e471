/*
 * Plays both ends of the forwarder (forward.c): programs of the box, which connect, write, stop reading and vanish as
 * they like, and a host that does the same. An input is a list of acts of three bytes: what, on which connection, how
 * much.
 *
 * What must hold after every list: a byte that arrives is the next one of those that were sent; what was sent between
 * two ends that both stay arrives whole, and then their end; a forwarder for which nothing is to do sleeps; and the next
 * connection is served. The forwarder is a child, so that it can be watched. A broken promise aborts.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ACTS = 400, PORTS = 2, FIRST_PORT = 8100, MOST_PAIRS = 256, MOST = 320, PATIENCE_MS = 5000, PART = 1 << 14 };

enum act { CONNECT, BOX_SENDS, HOST_SENDS, BOX_READS, HOST_READS, BOX_ENDS, HOST_ENDS, BOX_LEAVES, HOST_LEAVES, HOST_REFUSES, SETTLE, ACTS };

/* Of each connection: end 0 is the program's in the box, end 1 the host's. */
struct line {
    int fds[2];
    int left;            /* one of them was closed in the middle: what is under way may be lost */
    int ended[2];        /* says no more */
    uint64_t sent[2], got[2];
};

struct sockaddr_un fuzz_gw;
socklen_t fuzz_gw_length;

static struct line lines[MOST];
static int line_count, refusing;
static int front[PORTS], gw;
static struct sockaddr_un doors[PORTS];
static socklen_t door_length[PORTS];
static pid_t forwarding;

static _Noreturn void broken(const char *promise)
{
    fprintf(stderr, "the forwarder broke a promise: %s\n", promise);
    abort();
}

static int listening(struct sockaddr_un *address, socklen_t *length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *length = sizeof *address;
    /* The kernel makes up a name. */
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)address, length) != 0)
        exit(70);
    return fd;
}

/* The byte at a place of what an end sends on a line: one that is lost, doubled or crossed shows. */
static uint8_t byte_at(int line, int end, uint64_t place)
{
    return (uint8_t)(place * 31 + (place >> 8) * 7 + (uint64_t)line * 13 + (uint64_t)end * 101);
}

static void watch(void)
{
    int status;
    if (waitpid(forwarding, &status, WNOHANG) == forwarding)
        broken(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended");
}

/* Answers whether the descriptor has something to read, or its end, in time. */
static int comes(int fd)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += 50) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll(&one, 1, 50) > 0)
            return 1;
        watch();
    }
    return 0;
}

static void let_go(struct line *line, int end)
{
    if (line->fds[end] >= 0)
        close(line->fds[end]);
    line->fds[end] = -1;
    line->left = 1;
}

static void read_some(int number, int end, size_t most)
{
    static uint8_t data[PART];
    struct line *line = &lines[number];
    ssize_t n = line->fds[end] < 0 ? -1 : read(line->fds[end], data, most < PART ? most : PART);
    for (ssize_t i = 0; i < n; i++)
        if (data[i] != byte_at(number, 1 - end, line->got[end]++))
            broken("other bytes arrive than were sent");
    if (line->got[end] > line->sent[1 - end])
        broken("more bytes arrive than were sent");
}

static void send_some(int number, int end, size_t amount)
{
    static uint8_t data[PART];
    struct line *line = &lines[number];
    if (line->fds[end] < 0 || line->ended[end])
        return;
    amount = amount < PART ? amount : PART;
    for (size_t i = 0; i < amount; i++)
        data[i] = byte_at(number, end, line->sent[end] + i);
    ssize_t n = send(line->fds[end], data, amount, MSG_NOSIGNAL);
    line->sent[end] += n > 0 ? (uint64_t)n : 0;
}

static int open_count(void)
{
    int open = 0;
    for (int i = 0; i < line_count; i++)
        open += lines[i].fds[0] >= 0 || lines[i].fds[1] >= 0;
    return open;
}

/* Answers whether the host got a connection for it. */
static int connect_one(int port)
{
    if (line_count == MOST)
        return 0;
    struct line *line = &lines[line_count];
    *line = (struct line){.fds = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -1}};
    if (line->fds[0] < 0 || connect(line->fds[0], (struct sockaddr *)&doors[port], door_length[port]) != 0)
        exit(70);
    line_count++;
    struct pollfd both[2] = {{.fd = gw, .events = POLLIN}, {.fd = line->fds[0], .events = POLLIN}};
    for (int waited = 0; poll(both, 2, 50) <= 0; waited += 50) {
        watch();
        if (waited > PATIENCE_MS)
            broken("a connection is neither served nor closed");
    }
    if (both[0].revents == 0) {
        if (open_count() <= MOST_PAIRS)
            broken("a connection is closed although there is room");
        let_go(line, 0);
        return 0;
    }
    line->fds[1] = accept4(gw, NULL, NULL, SOCK_CLOEXEC);
    uint8_t head[FRAME_HEADER + 2], wanted[] = {2, 0, 0, 0, F_PORT, (FIRST_PORT + port) & 255, (FIRST_PORT + port) >> 8};
    if (line->fds[1] < 0 || !comes(line->fds[1]) || recv(line->fds[1], head, sizeof head, MSG_WAITALL) != sizeof head || memcmp(head, wanted, sizeof head) != 0)
        broken("the host is not told the port");
    for (int i = 0; i < 2; i++)
        fcntl(line->fds[i], F_SETFL, O_NONBLOCK);
    if (refusing)
        let_go(line, 1);
    return 1;
}

/* It stands in poll and not on the processor: three looks in a row, since it may be on its way there. */
static void settle(void)
{
    char path[32], stat[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)forwarding);
    int asleep = 0;
    for (int look = 0; look < 4000 && asleep < 3; look++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
        close(fd);
        stat[n > 0 ? n : 0] = 0;
        const char *name = strrchr(stat, ')');
        asleep = name != NULL && name[1] != 0 && name[2] == 'S' ? asleep + 1 : 0;
        poll(NULL, 0, 1);
        watch();
    }
    if (asleep < 3)
        broken("it does not come to rest");
}

static void perform(uint8_t what, uint8_t which, uint8_t amount)
{
    what %= ACTS;
    if (what == CONNECT) {
        for (int i = amount == 255 ? 64 : 1 + amount % 4; i > 0; i--)
            connect_one(which % PORTS);
        return;
    }
    if (what == HOST_REFUSES)
        refusing = which & 1;
    if (what == SETTLE)
        settle();
    if (line_count == 0)
        return;
    int number = which % line_count;
    struct line *line = &lines[number];
    int end = what == HOST_SENDS || what == HOST_READS || what == HOST_ENDS || what == HOST_LEAVES;
    if (what == BOX_SENDS || what == HOST_SENDS)
        send_some(number, end, (size_t)amount * 64);
    else if (what == BOX_READS || what == HOST_READS)
        read_some(number, end, 1 + (size_t)amount * 64);
    else if ((what == BOX_ENDS || what == HOST_ENDS) && line->fds[end] >= 0)
        line->ended[end] = shutdown(line->fds[end], SHUT_WR) == 0;
    else if (what == BOX_LEAVES || what == HOST_LEAVES)
        let_go(line, end);
}

/* Both ends stay to the last: one after the other says its last, all of it arrives, and then its end. */
static void finish(int number)
{
    struct line *line = &lines[number];
    for (int end = 0; end < 2 && !line->left; end++) {
        int other = line->fds[1 - end];
        char one;
        shutdown(line->fds[end], SHUT_WR);
        while (line->got[1 - end] < line->sent[end]) {
            uint64_t before = line->got[1 - end];
            if (comes(other))
                read_some(number, 1 - end, PART);
            if (line->got[1 - end] == before)
                broken("what was sent does not arrive");
        }
        if (!comes(other) || read(other, &one, 1) != 0)
            broken("the end of one side is not told to the other");
    }
    let_go(line, 0);
    let_go(line, 1);
}

_Noreturn void wall_main(int stream)
{
    uint16_t ports[PORTS];
    gw = listening(&fuzz_gw, &fuzz_gw_length);
    for (int i = 0; i < PORTS; i++) {
        front[i] = listening(&doors[i], &door_length[i]);
        ports[i] = (uint16_t)(FIRST_PORT + i);
    }
    forwarding = fork();
    if (forwarding == 0) {
        close(gw);
        forwarder(front, ports, PORTS);
    }

    uint8_t act[3];
    for (int acts = 0; acts < MOST_ACTS && recv(stream, act, sizeof act, MSG_WAITALL) == sizeof act; acts++)
        perform(act[0], act[1], act[2]);
    refusing = 0;
    for (int i = 0; i < line_count; i++)
        finish(i);
    settle();
    line_count = 0;
    if (!connect_one(1))
        broken("after all that no connection is served");
    send_some(0, 0, 100);
    finish(0);
    settle();
    kill(forwarding, SIGKILL);
    _exit(0);
}

size_t wall_seed(uint8_t *data, int number)
{
    static const uint8_t seeds[][24] = {
        {CONNECT, 0, 0, BOX_SENDS, 0, 9, HOST_READS, 0, 9, HOST_SENDS, 0, 200, BOX_READS, 0, 30, BOX_ENDS, 0, 0, SETTLE, 0, 0, HOST_ENDS, 0, 0},
        {CONNECT, 1, 3, BOX_SENDS, 1, 255, BOX_SENDS, 1, 255, BOX_LEAVES, 1, 0, HOST_SENDS, 2, 255, HOST_LEAVES, 2, 0, SETTLE, 0, 0, HOST_READS, 1, 255},
        {CONNECT, 0, 255, CONNECT, 1, 255, CONNECT, 0, 255, CONNECT, 1, 255, CONNECT, 0, 3, BOX_LEAVES, 9, 0, HOST_LEAVES, 8, 0, CONNECT, 0, 1},
        {HOST_REFUSES, 1, 0, CONNECT, 0, 2, BOX_SENDS, 0, 4, SETTLE, 0, 0, HOST_REFUSES, 0, 0, CONNECT, 0, 0, HOST_ENDS, 3, 0, BOX_SENDS, 3, 255},
    };
    memcpy(data, seeds[number % 4], sizeof seeds[0]);
    return sizeof seeds[0];
}
