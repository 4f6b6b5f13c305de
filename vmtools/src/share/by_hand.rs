//! The line to type in a guest that has nothing of ours, such as an installed system: pure.

use super::{Access, Kind, SharedFolder};

/// 9p with everything that keeps it true: nothing is cached, so that changes are seen at once; large messages.
const PLAN9: &str = "trans=virtio,version=9p2000.L,msize=1048576,cache=none";

/// A command that mounts `folder` at its place in a guest, as root; one line for a shell of the sh family.
#[must_use]
pub fn mount_command(folder: &SharedFolder, kind: Kind) -> String {
    let at = quoted(&folder.at.to_string_lossy());
    let live = format!("/run/cartridge/live/{}", folder.tag);
    let writable = folder.access == Access::Writable;
    let options = match (kind, writable) {
        (Kind::Plan9, true) => format!(" -o {PLAN9}"),
        (Kind::Plan9, false) => format!(" -o {PLAN9},ro"),
        (Kind::Virtiofs, true) => String::new(),
        (Kind::Virtiofs, false) => " -o ro".to_owned(),
    };
    let mount = |place: &str| format!("mkdir -p {place} && mount -t {}{options} {} {place}", kind.word(), folder.tag);
    if folder.access != Access::Overlaid {
        return mount(&at);
    }
    let upper = format!("/run/cartridge/upper/{}", folder.tag);
    format!(
        "{} && mkdir -p {upper}/data {upper}/work {at} && mount -t overlay -o \
         lowerdir={live},upperdir={upper}/data,workdir={upper}/work overlay {at}",
        mount(&live)
    )
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_type_is_whole() {
        let of = |at: &str, access, kind| {
            let folder = SharedFolder { tag: "repository".into(), dir: "/d".into(), at: at.into(), access };
            mount_command(&folder, kind)
        };
        assert_eq!(
            of("/root/demo", Access::ReadOnly, Kind::Virtiofs),
            "mkdir -p /root/demo && mount -t virtiofs -o ro repository /root/demo"
        );
        assert_eq!(
            of("/root/it's", Access::Writable, Kind::Plan9),
            r"mkdir -p '/root/it'\''s' && mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=none repository '/root/it'\''s'"
        );
        let overlaid = of("/root/demo", Access::Overlaid, Kind::Virtiofs);
        assert!(overlaid.contains("-o ro repository /run/cartridge/live/repository && "), "{overlaid}");
        assert!(overlaid.ends_with("workdir=/run/cartridge/upper/repository/work overlay /root/demo"), "{overlaid}");
    }
}
