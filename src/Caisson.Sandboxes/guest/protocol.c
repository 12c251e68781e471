/* Frames on a stream socket. See guest.h for what they mean. */
#include "guest.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Noreturn void die(const char *what)
{
    dprintf(STDERR_FILENO, "caisson-guest: %s: %s\n", what, strerror(errno));
    _exit(70);
}

/* Answers -1 where nobody listens. */
int try_dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        if (errno != EINTR) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
    return fd;
}

int dial(const char *path)
{
    int fd = try_dial(path);
    if (fd < 0)
        die(path);
    return fd;
}

static void write_all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(71);
        data += n;
        length -= (size_t)n;
    }
}

/*
 * One buffer for the one connection that a process reads from: a system call costs much in a box, and a command comes
 * as a dozen small frames in one write of the host.
 */
static uint8_t buffer[FRAME_HEADER + MAX_FRAME];
static size_t buffer_from, buffer_length;

int has_buffered(void) { return buffer_length > 0; }

void forget_buffered(void) { buffer_length = 0; }

static int read_all(int fd, uint8_t *data, size_t length)
{
    while (length > 0) {
        if (buffer_length == 0) {
            ssize_t n = read(fd, buffer, sizeof buffer);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return 0;
            buffer_from = 0;
            buffer_length = (size_t)n;
        }
        size_t part = buffer_length < length ? buffer_length : length;
        memcpy(data, buffer + buffer_from, part);
        buffer_from += part;
        buffer_length -= part;
        data += part;
        length -= part;
    }
    return 1;
}

void send_frame(int fd, uint8_t type, const void *payload, uint32_t length)
{
    /* One write for a small frame: the other side then wakes once. */
    uint8_t small[512];
    put_u32(small, length);
    small[4] = type;
    if (length <= sizeof small - FRAME_HEADER) {
        if (length > 0)
            memcpy(small + FRAME_HEADER, payload, length);
        write_all(fd, small, FRAME_HEADER + length);
        return;
    }
    write_all(fd, small, FRAME_HEADER);
    write_all(fd, payload, length);
}

void send_u32(int fd, uint8_t type, uint32_t value)
{
    uint8_t payload[4];
    put_u32(payload, value);
    send_frame(fd, type, payload, sizeof payload);
}

int recv_frame(int fd, struct frame *frame)
{
    uint8_t header[FRAME_HEADER];
    if (!read_all(fd, header, sizeof header))
        return 0;
    frame->length = get_u32(header);
    frame->type = header[4];
    if (frame->length > MAX_FRAME || !read_all(fd, frame->payload, frame->length))
        return 0;
    frame->payload[frame->length] = 0;
    return 1;
}

void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

void put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

uint16_t get_u16(const uint8_t *from) { return (uint16_t)(from[0] | from[1] << 8); }

uint32_t get_u32(const uint8_t *from)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)from[i] << (8 * i);
    return value;
}

uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}
