/* Sets the mode that the display asks for (the preferred one of its connector), again each time that it asks for another,
   as a desktop does; and paints each pixel by its place and the screen's width, so that one can be told from any other.
   Its pointer is a hardware cursor, 16 red pixels a side, which is in no picture. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* As in the kernel's include/uapi/drm/drm_mode.h, which a Debian 12 has in libdrm-dev only. */
struct drm_mode_modeinfo {
    uint32_t clock;
    uint16_t hdisplay, hsync_start, hsync_end, htotal, hskew, vdisplay, vsync_start, vsync_end, vtotal, vscan;
    uint32_t vrefresh, flags, type;
    char name[32];
};
struct drm_mode_card_res {
    uint64_t fb_id_ptr, crtc_id_ptr, connector_id_ptr, encoder_id_ptr;
    uint32_t count_fbs, count_crtcs, count_connectors, count_encoders, min_width, max_width, min_height, max_height;
};
struct drm_mode_crtc {
    uint64_t set_connectors_ptr;
    uint32_t count_connectors, crtc_id, fb_id, x, y, gamma_size, mode_valid;
    struct drm_mode_modeinfo mode;
};
struct drm_mode_get_connector {
    uint64_t encoders_ptr, modes_ptr, props_ptr, prop_values_ptr;
    uint32_t count_modes, count_props, count_encoders, encoder_id, connector_id, connector_type, connector_type_id,
        connection, mm_width, mm_height, subpixel, pad;
};
struct drm_mode_fb_cmd {
    uint32_t fb_id, width, height, pitch, bpp, depth, handle;
};
struct drm_mode_create_dumb {
    uint32_t height, width, bpp, flags, handle, pitch;
    uint64_t size;
};
struct drm_mode_map_dumb {
    uint32_t handle, pad;
    uint64_t offset;
};
struct drm_mode_cursor {
    uint32_t flags, crtc_id;
    int32_t x, y;
    uint32_t width, height, handle;
};
#define DRM_MODE_CURSOR_BO 1
#define DRM_MODE_TYPE_PREFERRED 8
#define DRM_IOCTL_MODE_GETRESOURCES _IOWR('d', 0xa0, struct drm_mode_card_res)
#define DRM_IOCTL_MODE_SETCRTC _IOWR('d', 0xa2, struct drm_mode_crtc)
#define DRM_IOCTL_MODE_CURSOR _IOWR('d', 0xa3, struct drm_mode_cursor)
#define DRM_IOCTL_MODE_GETCONNECTOR _IOWR('d', 0xa7, struct drm_mode_get_connector)
#define DRM_IOCTL_MODE_ADDFB _IOWR('d', 0xae, struct drm_mode_fb_cmd)
#define DRM_IOCTL_MODE_CREATE_DUMB _IOWR('d', 0xb2, struct drm_mode_create_dumb)
#define DRM_IOCTL_MODE_MAP_DUMB _IOWR('d', 0xb3, struct drm_mode_map_dumb)

static int must(int card, unsigned long request, void *argument, const char *what)
{
    if (ioctl(card, request, argument)) {
        perror(what);
        _exit(1);
    }
    return 0;
}

static struct drm_mode_modeinfo wanted(int card, uint32_t connector)
{
    static struct drm_mode_modeinfo modes[256];
    /* Asked without room first: that is what makes the driver look again. */
    struct drm_mode_get_connector asked = { .connector_id = connector };
    must(card, DRM_IOCTL_MODE_GETCONNECTOR, &asked, "connector");
    if (asked.count_modes > 256)
        asked.count_modes = 256;
    asked.modes_ptr = (uintptr_t)modes;
    asked.count_props = asked.count_encoders = 0;
    must(card, DRM_IOCTL_MODE_GETCONNECTOR, &asked, "modes");
    for (uint32_t i = 0; i < asked.count_modes; i++)
        if (modes[i].type & DRM_MODE_TYPE_PREFERRED)
            return modes[i];
    return modes[0];
}

static void *buffer(int card, struct drm_mode_create_dumb *made)
{
    must(card, DRM_IOCTL_MODE_CREATE_DUMB, made, "buffer");
    struct drm_mode_map_dumb map = { .handle = made->handle };
    must(card, DRM_IOCTL_MODE_MAP_DUMB, &map, "map");
    return mmap(0, made->size, PROT_READ | PROT_WRITE, MAP_SHARED, card, map.offset);
}

static void point(int card, uint32_t crtc)
{
    struct drm_mode_create_dumb made = { .width = 64, .height = 64, .bpp = 32 };
    uint32_t *pixels = buffer(card, &made);
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 64; x++)
            pixels[y * 64 + x] = x < 16 && y < 16 ? 0xffff0000 : 0;
    struct drm_mode_cursor cursor = { .flags = DRM_MODE_CURSOR_BO, .crtc_id = crtc, .width = 64, .height = 64,
                                      .handle = made.handle };
    must(card, DRM_IOCTL_MODE_CURSOR, &cursor, "cursor");
}

int main(void)
{
    int card = open("/dev/dri/card0", O_RDWR);
    uint32_t crtc = 0, connector = 0;
    struct drm_mode_card_res has = { .count_crtcs = 1, .count_connectors = 1,
                                     .crtc_id_ptr = (uintptr_t)&crtc, .connector_id_ptr = (uintptr_t)&connector };
    if (card < 0) {
        perror("/dev/dri/card0");
        return 1;
    }
    must(card, DRM_IOCTL_MODE_GETRESOURCES, &has, "resources");
    unsigned width = 0, height = 0;
    for (;; usleep(100000)) {
        struct drm_mode_modeinfo mode = wanted(card, connector);
        if (mode.hdisplay == width && mode.vdisplay == height)
            continue;
        width = mode.hdisplay;
        height = mode.vdisplay;
        struct drm_mode_create_dumb made = { .width = width, .height = height, .bpp = 32 };
        uint8_t *pixels = buffer(card, &made);
        struct drm_mode_fb_cmd frame = { .width = width, .height = height, .pitch = made.pitch, .bpp = 32, .depth = 24,
                                         .handle = made.handle };
        must(card, DRM_IOCTL_MODE_ADDFB, &frame, "frame");
        for (unsigned y = 0; y < height; y++) {
            uint32_t *row = (uint32_t *)(pixels + (size_t)y * made.pitch);
            for (unsigned x = 0; x < width; x++)
                row[x] = (x & 255) << 16 | (y & 255) << 8 | (width / 8 & 255);
        }
        struct drm_mode_crtc set = { .set_connectors_ptr = (uintptr_t)&connector, .count_connectors = 1, .crtc_id = crtc,
                                     .fb_id = frame.fb_id, .mode_valid = 1, .mode = mode };
        must(card, DRM_IOCTL_MODE_SETCRTC, &set, "mode");
        munmap(pixels, made.size);
        point(card, crtc);
        printf("mode %ux%u is set\n", width, height);
        fflush(stdout);
    }
}
