/* Prints what Linux tells of every pointer and key (its input events) on the serial line: device, type, code and value of each,
   by their numbers in input-event-codes.h. */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define MOST 16

int main(void)
{
    struct pollfd devices[MOST];
    int count = 0;
    FILE *serial = fopen("/dev/ttyS0", "w");
    if (!serial)
        return 1;
    for (int n = 0; n < MOST; n++) {
        char name[32];
        snprintf(name, sizeof name, "/dev/input/event%d", n);
        int device = open(name, O_RDONLY);
        if (device >= 0)
            devices[count++] = (struct pollfd){ .fd = device, .events = POLLIN };
    }
    fprintf(serial, "\r\npointers are read\r\n");
    fflush(serial);
    while (poll(devices, count, -1) > 0)
        for (int n = 0; n < count; n++) {
            struct input_event event;
            if (!(devices[n].revents & POLLIN) || read(devices[n].fd, &event, sizeof event) != sizeof event)
                continue;
            if (event.type != EV_REL && event.type != EV_ABS && event.type != EV_KEY)
                continue;
            fprintf(serial, "\r\ninput: %d %d %d\r\n", event.type, event.code, event.value);
            fflush(serial);
        }
    return 0;
}
