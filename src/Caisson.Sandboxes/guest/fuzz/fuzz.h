/* What the parts of the fuzzer have in common. */
#ifndef FUZZ_H
#define FUZZ_H

#include "../guest.h"
#include <sys/socket.h>
#include <sys/un.h>

/* wall.c: plays against the forwarder what the stream says, and where the forwarder finds its host. */
extern struct sockaddr_un fuzz_gw;
extern socklen_t fuzz_gw_length;
_Noreturn void wall_main(int stream);
size_t wall_seed(uint8_t *data, int number);

#endif
