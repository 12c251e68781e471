/* Terminals of commands. The worker holds both ends, and is the leader of the session that the command is in. */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/*
 * gVisor's terminals keep a size and a foreground group, but turn no character into a signal and tell nobody of a new
 * size. There the worker does both; it is the session's leader, since only a member of the session may ask for the group.
 */
static void signal_foreground(const struct terminal *terminal, int number)
{
    pid_t group = getenv("CAISSON_TERMINAL_SIGNALS") != NULL ? tcgetpgrp(terminal->slave) : -1;
    if (group > 0)
        kill(-group, number);
}

/* Takes the size from the frame, and gives it to the terminal where there is one already. Answers 0 for a bad one. */
int set_size(struct terminal *terminal, const struct frame *frame, int master)
{
    if (frame->length != 4 || get_u16(frame->payload) == 0)
        return 0;
    terminal->size.ws_row = get_u16(frame->payload);
    terminal->size.ws_col = get_u16(frame->payload + 2);
    if (master >= 0) {
        ioctl(master, TIOCSWINSZ, &terminal->size);
        signal_foreground(terminal, SIGWINCH);
    }
    return 1;
}

/* Takes what means a signal out of the frame, and sends it. */
void type_signals(const struct terminal *terminal, struct frame *frame)
{
    struct termios mode;
    if (getenv("CAISSON_TERMINAL_SIGNALS") == NULL || tcgetattr(terminal->slave, &mode) != 0 || (mode.c_lflag & ISIG) == 0)
        return;
    const int characters[3] = {VINTR, VQUIT, VSUSP}, numbers[3] = {SIGINT, SIGQUIT, SIGTSTP};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < frame->length; i++) {
        int which = 0;
        while (which < 3 && frame->payload[i] != mode.c_cc[characters[which]])
            which++;
        if (which < 3)
            signal_foreground(terminal, numbers[which]);
        else
            frame->payload[kept++] = frame->payload[i];
    }
    frame->length = kept;
}

/*
 * Opens both ends of a new terminal. It belongs to the user who opens it, and that must be the workload's: programs
 * open /dev/tty and change the mode of what ttyname answers.
 */
int open_terminal(struct terminal *terminal)
{
    char name[64];
    if (setresuid(-1, WORK_UID, -1) != 0)
        return -1;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    terminal->slave = master >= 0 && unlockpt(master) == 0 && ptsname_r(master, name, sizeof name) == 0 ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    int error = errno;
    if (setresuid(-1, GUEST_UID, -1) != 0)
        _exit(72);
    errno = error;
    if (terminal->slave < 0)
        return -1;
    ioctl(master, TIOCSWINSZ, &terminal->size);
    if (setsid() < 0 || ioctl(terminal->slave, TIOCSCTTY, 0) != 0)
        return -1;
    return master;
}
