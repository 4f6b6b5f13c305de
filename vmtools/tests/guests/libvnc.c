/* The picture that libvncclient makes of a recorded stream, and what that costs it: SOCKET ENCODINGS FILE. Prints milliseconds
 * of processor time from the handshake to the bell that ends the stream, then width and height; FILE gets the picture, blue first. */
#include <rfb/rfbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int over;

static void bell(rfbClient *client) {
    (void)client;
    over = 1;
}

static double cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    rfbClient *client = rfbGetClient(8, 3, 4);
    client->canHandleNewFBSize = TRUE;
    client->Bell = bell;
    client->format.redShift = 16;
    client->format.greenShift = 8;
    client->format.blueShift = 0;
    client->appData.encodingsString = words[2];
    client->appData.enableJPEG = TRUE;
    client->serverHost = strdup(words[1]);
    client->serverPort = 0;
    if (!rfbInitClient(client, NULL, NULL)) return 3;
    double before = cpu();
    /* Not WaitForMessage: it looks at the socket alone, and what was read ahead would be waited for. */
    while (!over)
        if (!HandleRFBServerMessage(client)) return 4;
    printf("%f %d %d\n", cpu() - before, client->width, client->height);
    FILE *file = fopen(words[3], "wb");
    if (!file || fwrite(client->frameBuffer, 4, (size_t)client->width * client->height, file) == 0) return 5;
    return fclose(file) ? 5 : 0;
}
