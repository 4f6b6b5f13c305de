//! Which port of this machine leads to which port of the guest, read from QEMU's `info usernet`.

/// The TCP forwards in `info usernet` as (guest port, host port). The kernel has chosen the host ports.
pub(crate) fn parse_usernet(text: &str) -> Vec<(u16, u16)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            if words.next()? != "TCP[HOST_FORWARD]" {
                return None;
            }
            // File descriptor, source address, source port, destination address, destination port.
            let host_port = words.nth(2)?.parse().ok()?;
            let guest_port = words.nth(1)?.parse().ok()?;
            Some((guest_port, host_port))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_qemu_7_says() {
        let text = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                    TCP[HOST_FORWARD]   8       127.0.0.1 41423       10.0.2.15    22     0     0\r\n  \
                    TCP[ESTABLISHED]    9       127.0.0.1 41424       10.0.2.15    22     0     0\r\n  \
                    UDP[236 sec]       10         0.0.0.0 41425       10.0.2.3     53     0     0\r\n  \
                    TCP[HOST_FORWARD]   3       127.0.0.1 46275       10.0.2.15    80     0     0\r\n";
        assert_eq!(parse_usernet(text), [(22, 41423), (80, 46275)]);
        assert_eq!(parse_usernet("TCP[HOST_FORWARD] 1 2"), []);
        assert_eq!(parse_usernet(""), []);
    }
}
