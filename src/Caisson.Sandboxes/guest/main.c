/* One program, several places: PID 1 inside a box and of a virtual machine, and what starts both on the host. */
#include "guest.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "launch") == 0)
        return launch_main(argc - 2, argv + 2);
    if (argc >= 2 && strcmp(argv[1], "vm") == 0)
        return vm_main(argc - 2, argv + 2);
    if (argc == 2 && strcmp(argv[1], "counter") == 0)
        return counter_main();
    if (getpid() == 1 && strcmp(argv[0], "/init") == 0)
        return machine_main();
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("%d\n", PROTOCOL_VERSION);
        return 0;
    }
    int host_kernel = argc == 3 && strcmp(argv[2], "--host-kernel") == 0;
    if ((argc == 2 || host_kernel) && strcmp(argv[1], "init") == 0 && getpid() == 1)
        return init_main(host_kernel);
    fprintf(stderr, "usage: caisson-guest init [--host-kernel] (as PID 1 of a box) | launch ... | vm ... | counter | version\n");
    return 64;
}
