//! Why ssh did not get there, from what it says (OpenSSH prints no other language): what happened and what to do. Pure.

use std::time::Duration;

use cartridge_supervise::SpawnError;

use super::place::SshHost;
use super::tunnel::destination;

/// There is no way through ssh.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// ssh is missing or may not be run.
    #[error("{0}\n  install OpenSSH's client (Debian, Ubuntu: openssh-client; Arch: openssh; Fedora: openssh-clients)")]
    Spawn(#[from] SpawnError),
    /// Nobody has said that the host is the right one.
    #[error(
        "ssh does not know the key of {host} yet, and asks nobody from here. Log in there once in a terminal, and compare the \
         fingerprint that ssh shows\n  command: {command}"
    )]
    HostUnknown {
        /// The host.
        host: String,
        /// What to run.
        command: String,
    },
    /// The host has another key than before.
    #[error(
        "the key of {host} is another one than ssh knows: somebody may be in between, or the host was set up anew. ssh says:\n\
         {words}"
    )]
    HostChanged {
        /// The host.
        host: String,
        /// What ssh says, with the line of its file.
        words: String,
    },
    /// The host lets nobody in.
    #[error(
        "{host} lets nobody in without a password or a passphrase ({words}), and ssh asks nobody from here. Give ssh a key: \
         ssh-copy-id installs one there, and ssh-add hands its passphrase to ssh-agent\n  command: {command}"
    )]
    Denied {
        /// The host.
        host: String,
        /// What it takes: "Permission denied (publickey,password)".
        words: String,
        /// What to run.
        command: String,
    },
    /// The host is not reached.
    #[error("ssh does not reach {host}: {words}. Check its name, its port, and the network\n  command: {command}")]
    Unreachable {
        /// The host.
        host: String,
        /// What ssh says.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// ssh ended for another reason.
    #[error("ssh to {host} ended ({how}):\n{words}\n  command: {command}")]
    Ended {
        /// The host.
        host: String,
        /// "exit code 255".
        how: String,
        /// What ssh says.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// ssh does not come to an end.
    #[error("ssh to {host} has not got there in {} s:\n{words}\n  command: {command}", limit.as_secs())]
    Silent {
        /// The host.
        host: String,
        /// How long it was waited for.
        limit: Duration,
        /// What ssh says.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
}

/// What ssh's end means: it ended as `how` says, after it had said `words`; `command` is how it was run.
pub(super) fn of(host: &SshHost, how: &str, words: &str, command: String) -> TunnelError {
    let words = words.trim();
    let shown = host.to_string();
    let line_with = |parts: &[&str]| words.lines().rev().find(|line| parts.iter().any(|part| line.contains(part)));
    let by_hand = |program: &str| format!("{program} {}", destination(host).join(" ")).replace(" -- ", " ");
    if words.contains("IDENTIFICATION HAS CHANGED") {
        return TunnelError::HostChanged { host: shown, words: words.to_owned() };
    }
    if words.contains("Host key verification failed") {
        return TunnelError::HostUnknown { host: shown, command: by_hand("ssh") };
    }
    if let Some(line) = line_with(&["Permission denied", "Too many authentication failures"]) {
        let words = line.split_once(": ").map_or(line, |(_, rest)| rest).trim_end_matches('.').to_owned();
        // ssh-copy-id has no -l.
        let at = host.user.as_ref().map_or_else(|| host.host.clone(), |user| format!("{user}@{}", host.host));
        let port = host.port.map_or_else(String::new, |port| format!("-p {port} "));
        return TunnelError::Denied { host: shown, words, command: format!("ssh-copy-id {port}{at}") };
    }
    let unreached = [
        "Could not resolve hostname",
        "Connection refused",
        "No route to host",
        "Network is unreachable",
        "Connection timed out",
        "Operation timed out",
        "Connection closed by",
        "Connection reset by",
    ];
    if let Some(line) = line_with(&unreached) {
        let words = line.trim_start_matches("ssh: ").trim_end_matches('.').to_owned();
        return TunnelError::Unreachable { host: shown, words, command };
    }
    TunnelError::Ended { host: shown, how: how.to_owned(), words: words.to_owned(), command }
}

/// Why the other side did not connect to the far address, as ssh tells it: "connect failed: Connection refused".
pub(super) fn far_refusal(words: &str) -> Option<String> {
    let line = words.lines().rev().find(|line| line.starts_with("channel ") && line.contains(": open failed: "))?;
    line.split_once(": open failed: ").map(|(_, why)| why.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str) -> String {
        of(&SshHost::parse("me@box:2222").unwrap(), "exit code 255", words, "ssh …".into()).to_string()
    }

    #[test]
    fn each_reason_says_what_to_do() {
        let unknown = told(
            "No ED25519 host key is known for [box]:2222 and you have requested strict checking.\r\n\
                            Host key verification failed.\r\n",
        );
        assert!(
            unknown.contains("does not know the key of me@box:2222") && unknown.ends_with("ssh -p 2222 -l me box"),
            "{unknown}"
        );
        let changed = told(
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending ED25519 key in /h/known_hosts:3\n\
                            Host key verification failed.",
        );
        assert!(changed.contains("another one than ssh knows") && changed.contains("known_hosts:3"), "{changed}");
        let denied = told("me@box: Permission denied (publickey,password).\r\n");
        assert!(denied.contains("(Permission denied (publickey,password))") && denied.contains("ssh-add"), "{denied}");
        assert!(denied.ends_with("ssh-copy-id -p 2222 me@box"), "{denied}");
        for words in [
            "ssh: Could not resolve hostname box: Name or service not known",
            "ssh: connect to host box port 2222: Connection refused",
            "ssh: connect to host box port 2222: No route to host",
            "kex_exchange_identification: read: x\nConnection reset by 192.0.2.1 port 2222",
        ] {
            let unreached = told(words);
            assert!(
                unreached.contains("does not reach me@box:2222: ") && !unreached.contains(": ssh: "),
                "{unreached}"
            );
        }
        let other = told("unix_listener: cannot bind to path /x: Permission refused");
        assert!(other.contains("exit code 255") && other.contains("cannot bind"), "{other}");
    }

    #[test]
    fn the_last_refusal_of_the_far_side_is_found() {
        let words = "Warning: x\nchannel 1: open failed: connect failed: Connection refused\r\n\
                     channel 2: open failed: administratively prohibited: open failed\r\n";
        assert_eq!(far_refusal(words).as_deref(), Some("administratively prohibited: open failed"));
        assert_eq!(far_refusal("all is well"), None);
    }
}
