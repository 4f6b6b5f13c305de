//! The way through podman, where an image with archiso is there: named by `CARTRIDGE_TEST_ARCHISO_IMAGE`.
