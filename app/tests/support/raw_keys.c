/* Prints the scancodes that the console's keyboard sends, as Linux has them (K_RAW), on the serial line: a line for each
   read. It ends after Enter on the key pad was let go, and gives the keyboard back. */
#include <fcntl.h>
#include <linux/kd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int main(void)
{
    int console = open("/dev/tty1", O_RDONLY);
    FILE *serial = fopen("/dev/ttyS0", "w");
    struct termios before, raw;
    long mode;
    if (console < 0 || !serial || ioctl(console, KDGKBMODE, &mode) || tcgetattr(console, &before))
        return 1;
    raw = before;
    cfmakeraw(&raw);
    tcsetattr(console, TCSANOW, &raw);
    ioctl(console, KDSKBMODE, K_RAW);
    fprintf(serial, "\r\nkeys are read\r\n");
    fflush(serial);
    unsigned char bytes[64];
    ssize_t n;
    while ((n = read(console, bytes, sizeof bytes)) > 0) {
        fprintf(serial, "\r\nkeys:");
        for (ssize_t i = 0; i < n; i++)
            fprintf(serial, " %02x", bytes[i]);
        fprintf(serial, "\r\n");
        fflush(serial);
        if (n >= 2 && bytes[n - 2] == 0xe0 && bytes[n - 1] == 0x9c)
            break;
    }
    ioctl(console, KDSKBMODE, mode);
    tcsetattr(console, TCSANOW, &before);
    return 0;
}
