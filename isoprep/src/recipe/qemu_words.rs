//! Which words of a user's own QEMU command line are refused: what would open a network port, what would take QEMU from
//! us or us from QEMU, and what would run code of its own in it. Pure. Options: qemu(1), QEMU 7.2 to 10.

use super::values::Problem;

/// Options that are refused, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "qmp",
            "qmp-pretty",
            "monitor",
            "mon",
            "preconfig",
            "S",
            "incoming",
            "daemonize",
            "pidfile",
            "no-shutdown",
            "action",
        ],
        "Cartridge controls the guest, and would lose it",
    ),
    (&["sandbox", "runas", "run-with", "chroot", "user"], "it would change what QEMU may do on this machine"),
    (&["plugin", "readconfig"], "it brings in what cannot be checked here"),
    (
        &["display", "nographic", "curses", "vnc", "spice", "full-screen", "snapshot", "nodefaults", "loadvm"],
        "Cartridge decides that itself",
    ),
    (&["s", "gdb"], "it opens a network port"),
];
/// What a value begins with that opens a network port, or reaches one.
const NETWORK: [&str; 5] = ["tcp:", "telnet:", "websocket:", "tn3270:", "udp:"];
/// Parts of a value that open a network port.
const LISTENERS: [&str; 8] =
    ["hostfwd=", "listen=", "port=", "localaddr=", "mcast=", "type=inet", "websocket=", "\"listen\""];

/// One word. A whole command line in one word is a mistake that QEMU explains badly.
pub(super) fn word(text: &str) -> Result<String, Problem> {
    if text.trim().is_empty() {
        return Err(("is empty".to_owned(), "remove it".to_owned()));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err((format!("{bad:?} is not allowed"), "use a word without control characters".to_owned()));
    }
    if let Some((option, value)) = text.split_once(' ').filter(|_| text.starts_with('-')) {
        let advice = format!("write [{option:?}, {:?}]", value.trim());
        return Err((format!("{text:?} is more than one word"), advice));
    }
    Ok(text.to_owned())
}

/// Why `words` are refused, if they are.
pub(super) fn refused(words: &[String]) -> Option<Problem> {
    let mut option = None;
    for word in words {
        // QEMU takes --option for -option.
        if let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty()) {
            let why = REFUSED.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why);
            if let Some(why) = why {
                return Some((format!("{word} is refused: {why}"), "take it out".to_owned()));
            }
            option = Some(name);
            continue;
        }
        let Some(name) = option else {
            let advice = "begin with an option, like \"-device\"".to_owned();
            return Some((format!("{word:?} stands without an option: QEMU would take it for a disk"), advice));
        };
        if opens_a_port(name, word) {
            let advice = match name {
                "netdev" | "nic" | "net" => "take it out, and use guest.forward",
                _ => "use a unix socket or a file",
            };
            return Some((format!("{word:?} is refused: it opens a network port"), advice.to_owned()));
        }
    }
    None
}

fn opens_a_port(option: &str, value: &str) -> bool {
    let networked = matches!(
        option,
        "netdev" | "nic" | "net" | "chardev" | "serial" | "parallel" | "debugcon" | "blockdev" | "object"
    );
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let udp = option == "chardev" && plain.split(',').any(|part| part == "udp" || part == "backend=udp");
    let json_port = networked
        && plain.starts_with('{')
        && ["\"listen\"", "\"port\"", "\"hostfwd\"", "\"inet\""].iter().any(|it| plain.contains(it));
    udp || json_port
        || NETWORK.iter().any(|scheme| plain.starts_with(scheme))
        || (networked && LISTENERS.iter().any(|part| plain.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> Option<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        refused(&words).map(|(message, advice)| format!("{message}; {advice}"))
    }

    #[test]
    fn what_opens_a_port_or_breaks_control_is_refused_and_says_why() {
        for words in [
            &["-monitor", "tcp::4444,server"][..],
            &["-qmp", "unix:/x"],
            &["--qmp", "unix:/x"],
            &["-S"],
            &["-daemonize"],
            &["-pidfile", "/x"],
            &["-sandbox", "off"],
            &["-device", "edu", "-s"],
            &["-gdb", "tcp::1234"],
            &["-vnc", ":1"],
            &["-serial", "tcp::1,server"],
            &["-serial", "telnet:localhost:1,server"],
            &["-serial", "udp::1"],
            &["-chardev", "socket,id=a,host=0.0.0.0,port=1,server=on"],
            &["-chardev", "udp,id=a,host=x"],
            &["-netdev", "user,id=x,hostfwd=tcp::5555-:22"],
            &["-netdev", "socket,id=x,listen=:1"],
            &["-netdev", "stream,id=x,server=on,addr.type=inet,addr.host=0"],
            &["-netdev", "{\"type\": \"socket\", \"listen\": \":1\"}"],
            &["-plugin", "evil.so"],
            &["-readconfig", "x"],
            &["disk.img"],
        ] {
            let said = said(words).unwrap_or_else(|| panic!("{words:?} is let through"));
            assert!(said.contains("refused") || said.contains("without an option"), "{said}");
        }
        assert_eq!(
            said(&["-netdev", "user,id=x,hostfwd=tcp::1-:2"]).unwrap(),
            "\"user,id=x,hostfwd=tcp::1-:2\" is refused: it opens a network port; take it out, and use guest.forward"
        );
    }

    #[test]
    fn the_rest_is_the_users_own() {
        for words in [
            &[][..],
            &["-device", "edu"],
            &["-device", "virtio-serial", "-chardev", "file,id=a,path=/x", "-device", "virtconsole,chardev=a"],
            &["-chardev", "socket,id=a,path=/x,server=on,wait=off"],
            &["-cpu", "Skylake-Client"],
            &["-drive", "if=none,id=x,file=/import=1.img"],
            &["-smbios", "type=1,serial=x"],
            &["-device", "usb-hub,port=2"],
        ] {
            assert_eq!(said(words), None);
        }
        assert!(word("-device edu").unwrap_err().1.contains("[\"-device\", \"edu\"]"));
        assert_eq!(word("a b"), Ok("a b".to_owned()));
    }
}
