/* Single-threaded, and it never waits but in poll. See bridge.h. */
#include "bridge.h"
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Room for one frame of data and, from each channel, one of each of the small frames. */
enum { OUT_RESERVE = MUX_CHANNELS * 3 * (MUX_HEADER + 4), OUT_SIZE = OUT_RESERVE + 4 * (MUX_HEADER + MUX_PAYLOAD) };

struct channel {
    uint32_t id;
    int fd;           /* -1 once M_GONE is sent */
    uint32_t credit;  /* that the host has given */
    int ended;        /* M_END is sent */
    int host_ended;   /* M_END or M_GONE has come */
    int host_gone;    /* M_GONE has come */
    int shut;         /* and the socket knows */
    size_t from, length;
    uint8_t *data;    /* for the socket; MUX_WINDOW bytes */
};

static struct channel channels[MUX_CHANNELS];
static int channel_count;
static uint32_t last_id;

static uint8_t out[OUT_SIZE], in[MUX_HEADER + MUX_PAYLOAD];
static size_t out_from, out_length, in_length;

static size_t out_room(void) { return OUT_SIZE - out_length; }

static uint8_t *frame_at_end(void)
{
    if (out_from > 0 && out_from + out_length + MUX_HEADER + MUX_PAYLOAD > OUT_SIZE) {
        memmove(out, out + out_from, out_length);
        out_from = 0;
    }
    return out + out_from + out_length;
}

static void put_head(uint8_t *frame, uint32_t channel, uint8_t type, uint32_t length)
{
    put_u32(frame, channel);
    frame[4] = (uint8_t)length;
    frame[5] = (uint8_t)(length >> 8);
    frame[6] = type;
    frame[7] = 0;
    out_length += MUX_HEADER + length;
}

static void put_small(uint32_t channel, uint8_t type, const uint8_t *payload, uint32_t length)
{
    uint8_t *frame = frame_at_end();
    memcpy(frame + MUX_HEADER, payload, length);
    put_head(frame, channel, type, length);
}

void bridge_listen(const char *directory, int *listeners)
{
    static const char *const names[DOORS] = {"ctl.sock", "io.sock", "gw.sock"};
    for (int i = 0; i < DOORS; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, names[i]);
        listeners[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listeners[i] < 0 || bind(listeners[i], (struct sockaddr *)&address, sizeof address) != 0 ||
            chmod(address.sun_path, 0600) != 0 || chown(address.sun_path, GUEST_UID, GUEST_UID) != 0 || listen(listeners[i], 64) != 0)
            die(address.sun_path);
    }
}

static void take(int listener, uint8_t door)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    uint8_t *data = channel_count < MUX_CHANNELS ? malloc(MUX_WINDOW) : NULL;
    if (data == NULL) {
        close(fd);
        return;
    }
    channels[channel_count++] = (struct channel){.id = ++last_id, .fd = fd, .credit = MUX_WINDOW, .data = data};
    put_small(last_id, M_OPEN, &door, 1);
}

/* Answers 0 when the socket is broken. */
static int move(struct channel *channel, short events)
{
    if (channel->length > 0) {
        ssize_t n = send(channel->fd, channel->data + channel->from, channel->length, MSG_NOSIGNAL);
        if (n > 0) {
            uint8_t credit[4];
            put_u32(credit, (uint32_t)n);
            channel->from += (size_t)n;
            channel->length -= (size_t)n;
            if (!channel->host_ended)
                put_small(channel->id, M_CREDIT, credit, sizeof credit);
        } else if (errno != EAGAIN && errno != EINTR) {
            return 0;
        }
    }
    if (channel->host_ended && channel->length == 0 && !channel->shut) {
        channel->shut = 1;
        shutdown(channel->fd, SHUT_WR);
    }
    if (!channel->ended && channel->credit > 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0 &&
        out_room() >= OUT_RESERVE + MUX_HEADER + MUX_PAYLOAD) {
        uint8_t *frame = frame_at_end();
        ssize_t n = read(channel->fd, frame + MUX_HEADER, channel->credit < MUX_PAYLOAD ? channel->credit : MUX_PAYLOAD);
        if (n > 0) {
            channel->credit -= (uint32_t)n;
            put_head(frame, channel->id, M_DATA, (uint32_t)n);
        } else if (n == 0) {
            channel->ended = 1;
            put_head(frame, channel->id, M_END, 0);
        } else if (errno != EAGAIN && errno != EINTR) {
            return 0;
        }
    }
    return 1;
}

/* Answers 0 when the channel is to be forgotten. */
static int serve(struct channel *channel, short events)
{
    if (channel->fd >= 0) {
        int whole = move(channel, events);
        if (whole && !(channel->shut && (channel->ended || channel->host_gone)))
            return 1;
        close(channel->fd);
        channel->fd = -1;
        put_small(channel->id, M_GONE, NULL, 0);
    }
    return !channel->host_gone;
}

static struct channel *find(uint32_t id)
{
    for (int i = 0; i < channel_count; i++)
        if (channels[i].id == id)
            return &channels[i];
    return NULL;
}

/* The host is believed to keep the protocol; where it does not, the machine ends. */
static void obey(uint32_t id, uint8_t type, const uint8_t *payload, size_t length)
{
    struct channel *channel = find(id);
    if (channel == NULL)
        _exit(65);
    if (type == M_CREDIT && length == 4) {
        channel->credit += get_u32(payload);
    } else if (type == M_END && length == 0) {
        channel->host_ended = 1;
    } else if (type == M_GONE && length == 0) {
        channel->host_ended = channel->host_gone = 1;
    } else if (type != M_DATA || length > MUX_WINDOW - channel->length) {
        _exit(65);
    } else if (channel->fd >= 0) {
        memmove(channel->data, channel->data + channel->from, channel->length);
        memcpy(channel->data + channel->length, payload, length);
        channel->from = 0;
        channel->length += length;
    }
}

/* Answers 0 when the host has hung up. */
static int receive(int port)
{
    for (;;) {
        ssize_t n = read(port, in + in_length, sizeof in - in_length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n <= 0)
            return 0;
        in_length += (size_t)n;
        size_t at = 0;
        while (in_length - at >= MUX_HEADER) {
            size_t length = get_u16(in + at + 4);
            if (length > MUX_PAYLOAD)
                _exit(65);
            if (in_length - at < MUX_HEADER + length)
                break;
            obey(get_u32(in + at), in[at + 6], in + at + MUX_HEADER, length);
            at += MUX_HEADER + length;
        }
        in_length -= at;
        memmove(in, in + at, in_length);
    }
}

static int transmit(int port)
{
    while (out_length > 0) {
        ssize_t n = write(port, out + out_from, out_length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n <= 0)
            return 0;
        out_from += (size_t)n;
        out_length -= (size_t)n;
    }
    out_from = 0;
    return 1;
}

static short wanted(const struct channel *channel)
{
    short events = 0;
    if (!channel->ended && channel->credit > 0 && !channel->host_gone)
        events |= POLLIN;
    if (channel->length > 0)
        events |= POLLOUT;
    return events;
}

void bridge_run(int port, const int *listeners, int agent)
{
    static struct pollfd fds[2 + DOORS + MUX_CHANNELS];
    for (;;) {
        /* Without room for what they may cause, channels wait until the host has read. */
        int open = out_room() >= OUT_RESERVE;
        fds[0] = (struct pollfd){.fd = port, .events = (short)(POLLIN | (out_length > 0 ? POLLOUT : 0))};
        fds[1] = (struct pollfd){.fd = agent, .events = POLLIN};
        for (int i = 0; i < DOORS; i++)
            fds[2 + i] = (struct pollfd){.fd = open ? listeners[i] : -1, .events = POLLIN};
        for (int i = 0; i < channel_count; i++) {
            short events = open ? wanted(&channels[i]) : 0;
            fds[2 + DOORS + i] = (struct pollfd){.fd = events != 0 ? channels[i].fd : -1, .events = events};
        }
        if (poll(fds, (nfds_t)(2 + DOORS + channel_count), -1) < 0)
            continue;
        if (fds[1].revents != 0 || (fds[0].revents & POLLHUP) != 0 || !receive(port))
            return;
        /* Backwards: the last channel takes the place of one that ends. What has just come is served at once. */
        for (int i = channel_count - 1; open && i >= 0; i--)
            if (!serve(&channels[i], fds[2 + DOORS + i].revents)) {
                free(channels[i].data);
                channels[i] = channels[--channel_count];
            }
        for (uint8_t i = 0; i < DOORS; i++)
            if (fds[2 + i].revents != 0)
                take(listeners[i], i);
        if (!transmit(port))
            return;
    }
}
