/*
 * The connections of a virtual machine's guest agent, over its one serial port.
 *
 * Problem: a program in a machine of its own cannot dial a unix socket of the host. What it has is one byte stream, and
 * a connection that nobody reads must not hold up the others.
 *
 * Shape: the bridge listens in the guest on the names that the agent dials (ctl, io, gw). For each connection it opens a
 * channel; the carrier on the host (MicroVm/SerialCarrier.cs) dials the socket of that name there.
 *
 * Frame: u32 channel, u16 length of the payload (at most 32768), u8 type, u8 zero, payload. Little-endian.
 *
 * States of a channel, the same on both sides: open -> M_END sent or received (no more data that way) -> M_GONE sent
 * (both ways done, or the socket broke) -> M_GONE received: forgotten. Either order of the last two.
 *
 * Invariants:
 *   - Only the guest opens, with numbers that only grow, and at most MUX_CHANNELS at a time.
 *   - A side has sent no more data than MUX_WINDOW and what M_CREDIT gave back; M_CREDIT follows what the socket took.
 *     So a side always has room for what comes, always reads the port, and one full socket stops one channel.
 *   - M_GONE is sent once and last. What comes after it is dropped until the other's M_GONE.
 *
 * Who dies:
 *   the agent       the bridge restarts the machine, which ends it.
 *   the bridge      it is process 1 of the machine: the kernel panics, the machine ends.
 *   the carrier     the port hangs up; the bridge ends the machine, and the host ends the box anyway.
 *   QEMU            the carrier sees its end and closes all connections, that of ctl too: the box is lost.
 */
#ifndef CAISSON_BRIDGE_H
#define CAISSON_BRIDGE_H

enum { MUX_HEADER = 8, MUX_PAYLOAD = 32768, MUX_WINDOW = 65536, MUX_CHANNELS = 512 };
enum { DOOR_CTL, DOOR_IO, DOOR_GW, DOORS };

enum mux_type {
    M_OPEN = 1,   /* guest to host: u8 door */
    M_DATA = 2,
    M_CREDIT = 3, /* u32 bytes that may follow */
    M_END = 4,
    M_GONE = 5,
};

/* Listens on the agent's three names below `directory`, which belongs to the agent. */
void bridge_listen(const char *directory, int *listeners);

/* Until the agent (a pidfd) ends or the host hangs up. */
void bridge_run(int port, const int *listeners, int agent);

#endif
