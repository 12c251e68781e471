/*
 * The way out of a box: ports of its own loopback that lead to services of the host, one connection of gw.sock for each
 * connection that a program makes.
 *
 * States of a pair: open in both directions -> one side has ended and the other is told (half closed) -> both ended.
 * A direction reads only when its buffer is empty, so a slow side holds back the other one, and nothing piles up here.
 * It knows nothing of what it carries. What may be reached is decided on the host.
 */
#include "guest.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PAIRS = 256, CHUNK = 16384 };

struct direction {
    size_t from, length;
    int ended; /* no more comes in */
    int told;  /* and the other side knows */
    uint8_t data[CHUNK];
};

/* Direction i reads from fd i and writes to the other one. */
struct pair {
    int fds[2];
    struct direction ways[2];
};

static struct pair pairs[MAX_PAIRS];
static int pair_count;

int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void take(int listener, uint16_t port)
{
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    int host = pair_count < MAX_PAIRS ? try_dial(GW_PATH) : -1;
    uint8_t head[FRAME_HEADER + 2] = {2, 0, 0, 0, F_PORT, (uint8_t)port, (uint8_t)(port >> 8)};
    if (host < 0 || send(host, head, sizeof head, MSG_NOSIGNAL) != sizeof head) {
        if (host >= 0)
            close(host);
        close(client);
        return;
    }
    fcntl(host, F_SETFL, O_NONBLOCK);
    struct pair *pair = &pairs[pair_count++];
    pair->fds[0] = client;
    pair->fds[1] = host;
    for (int i = 0; i < 2; i++) {
        pair->ways[i].from = pair->ways[i].length = 0;
        pair->ways[i].ended = pair->ways[i].told = 0;
    }
}

/* Answers 0 when the pair is broken. */
static int move(struct direction *way, int in, int out, short in_events)
{
    if (way->length == 0 && !way->ended && in_events != 0) {
        ssize_t n = read(in, way->data, CHUNK);
        if (n == 0)
            way->ended = 1;
        else if (n > 0)
            way->from = 0, way->length = (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return 0;
    }
    if (way->length > 0) {
        ssize_t n = send(out, way->data + way->from, way->length, MSG_NOSIGNAL);
        if (n > 0)
            way->from += (size_t)n, way->length -= (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return 0;
    }
    if (way->ended && way->length == 0 && !way->told) {
        way->told = 1;
        shutdown(out, SHUT_WR);
    }
    return 1;
}

static int serve(struct pair *pair, const struct pollfd *fds)
{
    for (int i = 0; i < 2; i++)
        if (!move(&pair->ways[i], pair->fds[i], pair->fds[1 - i], fds[i].revents & (POLLIN | POLLHUP | POLLERR)))
            return 0;
    return !(pair->ways[0].told && pair->ways[1].told);
}

_Noreturn void forwarder(const int *listeners, const uint16_t *ports, int count)
{
    /* The agent's user, which commands can neither signal nor trace, and from here on without a capability. */
    if (drop_capabilities() != 0)
        _exit(72);
    static struct pollfd fds[MAX_FORWARDS + 2 * MAX_PAIRS];
    for (;;) {
        for (int i = 0; i < count; i++)
            fds[i] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
        for (int i = 0; i < pair_count; i++)
            for (int j = 0; j < 2; j++) {
                const struct pair *pair = &pairs[i];
                short events = 0;
                if (pair->ways[j].length == 0 && !pair->ways[j].ended)
                    events |= POLLIN;
                if (pair->ways[1 - j].length > 0)
                    events |= POLLOUT;
                /* A side of which nothing is wanted any more would report its end for ever. */
                fds[count + 2 * i + j] = (struct pollfd){.fd = events != 0 ? pair->fds[j] : -1, .events = events};
            }
        if (poll(fds, (nfds_t)(count + 2 * pair_count), -1) < 0)
            continue;
        /* Backwards: the last pair takes the place of one that ends. */
        for (int i = pair_count - 1; i >= 0; i--)
            if (!serve(&pairs[i], &fds[count + 2 * i])) {
                close(pairs[i].fds[0]);
                close(pairs[i].fds[1]);
                pair_count--;
                if (i != pair_count)
                    memcpy(&pairs[i], &pairs[pair_count], sizeof pairs[i]);
            }
        for (int i = 0; i < count; i++)
            if (fds[i].revents != 0)
                take(listeners[i], ports[i]);
    }
}
