/* A small server made with libvncserver, which knows neither QEMU's keys nor its sizes: the cursor keys change its size, Page Up
 * wipes what was drawn, a letter draws strokes beside the one before, and a button a dot. What it shows can be computed. */
#include <rfb/rfb.h>
#include <rfb/keysym.h>
#include <stdlib.h>

static const int SIZES[3][2] = {{640, 480}, {800, 600}, {1024, 768}};
static int size = 1, letter_x = 0, pointer_x = 0, pointer_y = 0;

/* Shades from the left and from the top, and a white edge. */
static void background(char *pixels, int width, int height) {
    unsigned char *at = (unsigned char *)pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, at += 4) {
            at[0] = x ? (x + y) * 128 / (width + height) : 255;
            at[1] = x ? x * 128 / width : 255;
            at[2] = x ? y * 256 / height : 255;
            at[3] = 0;
        }
}

static void wipe(rfbScreenInfoPtr screen) {
    background(screen->frameBuffer, screen->width, screen->height);
    rfbMarkRectAsModified(screen, 0, 0, screen->width, screen->height);
}

static void resize(rfbScreenInfoPtr screen, int step) {
    if (size + step < 0 || size + step > 2) return;
    size += step;
    const int width = SIZES[size][0], height = SIZES[size][1];
    char *before = screen->frameBuffer, *now = malloc(4L * width * height);
    if (!now) exit(1);
    background(now, width, height);
    rfbNewFramebuffer(screen, now, width, height, 8, 3, 4);
    free(before);
}

static void key(rfbBool down, rfbKeySym sym, rfbClientPtr client) {
    rfbScreenInfoPtr screen = client->screen;
    if (!down) return;
    if (sym == XK_Page_Up) wipe(screen);
    else if (sym == XK_Up) resize(screen, 1);
    else if (sym == XK_Down) resize(screen, -1);
    else if (sym >= 'a' && sym <= 'z' && letter_x + 8 < screen->width && pointer_y + 8 < screen->height) {
        for (int stroke = 0; stroke < 3; stroke++)
            rfbDrawLine(screen, letter_x + 2 * stroke, pointer_y, letter_x + 2 * stroke, pointer_y + 8, 0xffffff);
        letter_x += 8;
    }
}

static void pointer(int buttons, int x, int y, rfbClientPtr client) {
    const int inside = x > 0 && y > 0 && x < client->screen->width - 1 && y < client->screen->height - 1;
    if (x != pointer_x || y != pointer_y) letter_x = x;
    pointer_x = x, pointer_y = y;
    if (buttons && inside)
        for (int row = -1; row <= 1; row++) rfbDrawLine(client->screen, x - 1, y + row, x + 1, y + row, 0xffffff);
    rfbDefaultPtrAddEvent(buttons, x, y, client);
}

int main(int argc, char **argv) {
    rfbScreenInfoPtr screen = rfbGetScreen(&argc, argv, SIZES[size][0], SIZES[size][1], 8, 3, 4);
    if (!screen) return 1;
    /* On loopback alone. */
    screen->ipv6port = 0;
    screen->frameBuffer = malloc(4L * SIZES[size][0] * SIZES[size][1]);
    if (!screen->frameBuffer) return 1;
    background(screen->frameBuffer, SIZES[size][0], SIZES[size][1]);
    screen->alwaysShared = TRUE;
    screen->kbdAddEvent = key;
    screen->ptrAddEvent = pointer;
    rfbInitServer(screen);
    rfbRunEventLoop(screen, 20000, FALSE);
    return 0;
}
