//! In what two machines differ, in words of people: the words that build a machine are QEMU's, and nobody has chosen those. Pure.

/// What an option and its value are about, and what that is in words: "memory", "4 GiB". Where people know it by a setting, that
/// stands behind.
struct Part {
    what: String,
    is: String,
    setting: &'static str,
}

/// The name of what differs: "memory", "disk data".
pub(super) fn what(word: &str) -> String {
    part(word).what
}

/// What was and is not as it was; one of them is absent where there was nothing, or is nothing now.
pub(super) fn changed(then: Option<&str>, now: Option<&str>) -> String {
    let setting = |part: &Part| if part.setting.is_empty() { String::new() } else { format!(" ({})", part.setting) };
    match (then.map(part), now.map(part)) {
        (Some(was), Some(is)) if was.what == is.what && was.is == is.is => {
            let (gone, new) = (beside(then, now), beside(now, then));
            format!("the {} had {gone}, and has {new} now{}", named(&is), setting(&is))
        }
        (Some(then), Some(now)) if then.what == now.what && !now.is.is_empty() && !then.is.is_empty() => {
            format!("the {} was {}, and is {} now{}", then.what, then.is, now.is, setting(&now))
        }
        (Some(then), Some(now)) => {
            format!("the guest had the {}, and would have the {} now{}", named(&then), named(&now), setting(&now))
        }
        (Some(then), None) => {
            format!("the guest had the {}, and would not have it now{}", named(&then), setting(&then))
        }
        (None, Some(now)) => {
            format!("the guest did not have the {}, and would have it now{}", named(&now), setting(&now))
        }
        (None, None) => String::new(),
    }
}

/// What of `word` is not in `other`: "bootindex=1", "nothing".
fn beside(word: Option<&str>, other: Option<&str>) -> String {
    let parts = |text: Option<&'_ str>| -> Vec<String> {
        text.unwrap_or_default().split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect()
    };
    let others = parts(other);
    let own: Vec<_> = parts(word).into_iter().filter(|part| !others.contains(part)).collect();
    if own.is_empty() { "no more than that".to_owned() } else { own.join(", ") }
}

fn named(part: &Part) -> String {
    if part.is.is_empty() || part.is == part.what || part.is.starts_with("a ") {
        part.what.clone()
    } else {
        format!("{} {}", part.what, part.is)
    }
}

fn part(word: &str) -> Part {
    let (option, value) = word.split_once(' ').unwrap_or((word, ""));
    let of = |what: &str, is: String, setting| Part { what: what.to_owned(), is, setting };
    match option {
        "-m" => of("memory", memory(value), "guest.memory"),
        "-smp" => of("number of processors", value.to_owned(), "guest.cpus"),
        "-cpu" => of("processor", value.to_owned(), ""),
        "-accel" => of("accelerator", value.to_owned(), "guest.accelerator"),
        "-machine" => of("type of machine", value.to_owned(), "guest.firmware"),
        "-drive" if value.contains("if=pflash") => {
            let file = field(value, "file");
            of("firmware", file.rsplit('/').next().unwrap_or_default().to_owned(), "guest.firmware")
        }
        "-drive" | "-blockdev" => of("drive", field(value, "id"), ""),
        "-netdev" => of("network", field(value, "id"), "guest.network"),
        "-tpmdev" => of("TPM", String::new(), "guest.tpm"),
        "-share" if value == "repository" => of("live folder of the repository", String::new(), "source.live"),
        "-share" => of("live folder", value.to_owned(), ""),
        "-display" => of("display", value.to_owned(), "guest.gpu"),
        "-device" => device(value),
        _ => of("option", word.to_owned(), "guest.qemu_args"),
    }
}

/// A device by what it is to people; its model where that says no more.
fn device(value: &str) -> Part {
    let model = value.split(',').next().unwrap_or_default();
    let of = |what: &str, is: String, setting| Part { what: what.to_owned(), is, setting };
    match model {
        "virtio-blk-pci" if !field(value, "serial").is_empty() => {
            of("disk", field(value, "serial"), "guest.disk, guest.disks")
        }
        "VGA" | "virtio-vga" | "virtio-vga-gl" => of("graphics card", model.to_owned(), "guest.gpu"),
        "virtio-net-pci" => of("network card", String::new(), "guest.network"),
        "tpm-crb" => of("TPM", String::new(), "guest.tpm"),
        "usb-host" => {
            let ids = format!("{}:{}", field(value, "vendorid"), field(value, "productid"));
            of("USB device", ids.replace("0x", ""), "guest.usb")
        }
        "ide-cd" => {
            of(if field(value, "drive") == "medium" { "medium" } else { "CD" }, "a CD".to_owned(), "guest.medium")
        }
        "usb-storage" => of("medium", "a USB disk".to_owned(), "guest.medium"),
        "virtio-9p-pci" | "vhost-user-fs-pci" => of("shared folder", String::new(), ""),
        _ => of("device", model.to_owned(), ""),
    }
}

/// The value of a field in `a=b,c=d`.
fn field(value: &str, name: &str) -> String {
    let found = value.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_default().to_owned()
}

/// "4 GiB" of "4096M".
fn memory(value: &str) -> String {
    match value.strip_suffix('M').and_then(|mib| mib.parse::<u64>().ok()) {
        Some(mib) if mib >= 1024 && mib % 1024 == 0 => format!("{} GiB", mib / 1024),
        Some(mib) => format!("{mib} MiB"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn differences_are_told_without_options_of_qemu() {
        for (then, now, says) in [
            (Some("-m 4096M"), Some("-m 512M"), "the memory was 4 GiB, and is 512 MiB now (guest.memory)"),
            (Some("-smp 4"), Some("-smp 2"), "the number of processors was 4, and is 2 now (guest.cpus)"),
            (
                None,
                Some("-share repository"),
                "the guest did not have the live folder of the repository, and would have it now (source.live)",
            ),
            (
                Some("-device virtio-blk-pci,drive=disk0,bootindex=2,serial=data"),
                None,
                "the guest had the disk data, and would not have it now (guest.disk, guest.disks)",
            ),
            (
                Some("-device VGA,id=video0"),
                Some("-device virtio-vga,id=video0"),
                "the graphics card was VGA, and is virtio-vga now (guest.gpu)",
            ),
            (
                Some("-device usb-host,bus=xhci.0,vendorid=0x1d6b,productid=0x0002"),
                Some("-device virtio-net-pci,netdev=net0,romfile="),
                "the guest had the USB device 1d6b:0002, and would have the network card now (guest.network)",
            ),
            (
                Some("-device ide-cd,bus=ide.0,drive=medium,bootindex=1"),
                Some("-device usb-storage,bus=xhci.0,drive=medium,bootindex=1"),
                "the medium was a CD, and is a USB disk now (guest.medium)",
            ),
            (
                Some("-drive if=none,id=disk0,format=raw"),
                Some("-drive if=none,id=disk0,format=qcow2"),
                "the drive disk0 had format=raw, and has format=qcow2 now",
            ),
            (
                Some("-netdev user,id=net0,restrict=on"),
                Some("-netdev user,id=net0"),
                "the network net0 had restrict=on, and has no more than that now (guest.network)",
            ),
        ] {
            assert_eq!(changed(then, now), says);
        }
        assert_eq!((what("-m 1M"), what("-device virtio-vga")), ("memory".into(), "graphics card".into()));
    }

    proptest! {
        #[test]
        fn any_words_are_told_somehow(then in ".{0,40}", now in ".{0,40}") {
            prop_assert!(!changed(Some(&then), Some(&now)).is_empty());
            let _ = (what(&then), changed(None, Some(&now)));
        }
    }
}
