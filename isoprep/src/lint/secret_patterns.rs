//! How secrets look: private keys by their armour, tokens by the beginnings that services give them so that they can be
//! found, passwords in addresses. A public key, an example or a place for a value is none. What belongs to a certain file is in
//! [`secret_files`](super::secret_files).

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::secret_files::{Called, credentials, is_example, is_placeholder, stands_for_one};

/// What kind of secret it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    PrivateKey,
    Token,
    Credentials,
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) kind: Kind,
    /// From 1.
    pub(super) line: usize,
    /// With its article; never the secret itself.
    pub(super) what: &'static str,
}

/// Which characters follow a token's beginning.
#[derive(Clone, Copy)]
enum Body {
    /// Letters and digits.
    Letters,
    /// Capitals and digits.
    Capitals,
    /// Letters, digits, `-` and `_`.
    Url,
}

/// A kind of token: its beginning, what follows, how much of that at least and at most.
struct Shape {
    begins: &'static str,
    body: Body,
    least: usize,
    most: usize,
    what: &'static str,
}

const fn shape(begins: &'static str, body: Body, least: usize, most: usize, what: &'static str) -> Shape {
    Shape { begins, body, least, most, what }
}

/// As the services document them: GitHub's "token formats", AWS's "unique identifiers", Slack's "token types", and so
/// on.
const SHAPES: [Shape; 37] = [
    shape("AKIA", Body::Capitals, 16, 16, "an access key of AWS"),
    shape("ASIA", Body::Capitals, 16, 16, "a temporary access key of AWS"),
    shape("AIza", Body::Url, 35, 35, "an API key of Google"),
    shape("AGE-SECRET-KEY-1", Body::Capitals, 58, 58, "a secret key of age"),
    shape("dckr_pat_", Body::Url, 20, 100, "a token of Docker"),
    shape("dop_v1_", Body::Letters, 64, 64, "a token of DigitalOcean"),
    shape("ghp_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("gho_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghu_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghs_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghr_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("github_pat_", Body::Url, 82, 255, "a token of GitHub"),
    shape("glpat-", Body::Url, 20, 300, "a token of GitLab"),
    shape("gldt-", Body::Url, 20, 300, "a token of GitLab"),
    shape("glptt-", Body::Url, 20, 300, "a token of GitLab"),
    shape("glrt-", Body::Url, 20, 300, "a token of GitLab"),
    shape("glcbt-", Body::Url, 20, 300, "a token of GitLab"),
    shape("hf_", Body::Letters, 34, 40, "a token of Hugging Face"),
    shape("hvs.", Body::Url, 20, 300, "a token of Vault"),
    shape("npm_", Body::Letters, 36, 36, "a token of npm"),
    shape("pypi-AgEIcHlwaS5vcmc", Body::Url, 50, 500, "a token of PyPI"),
    shape("sk-ant-api", Body::Url, 80, 200, "an API key of Anthropic"),
    shape("sk-proj-", Body::Url, 40, 300, "an API key of OpenAI"),
    shape("sk-svcacct-", Body::Url, 40, 300, "an API key of OpenAI"),
    shape("sk-admin-", Body::Url, 40, 300, "an API key of OpenAI"),
    // The form of before, which others have taken over.
    shape("sk-", Body::Letters, 40, 64, "an API key in the form of OpenAI's"),
    shape("sk_live_", Body::Letters, 24, 200, "a secret key of Stripe"),
    shape("rk_live_", Body::Letters, 24, 200, "a secret key of Stripe"),
    shape("rubygems_", Body::Letters, 48, 48, "a key of RubyGems"),
    shape("SG.", Body::Url, 22, 22, "a key of SendGrid"),
    shape("tskey-auth-", Body::Url, 20, 100, "a key of Tailscale"),
    shape("xoxb-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxp-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxa-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxr-", Body::Url, 20, 200, "a token of Slack"),
    shape("xapp-", Body::Url, 20, 200, "a token of Slack"),
    shape("pypi-AgENdGVzdC5weXBpLm9yZ", Body::Url, 50, 500, "a token of PyPI"),
];

/// What every secret that is known by its own form has in it.
static FORMS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let others = ["PRIVATE KEY", "PrivateKey", SLACK_HOOK];
    AhoCorasick::new(SHAPES.iter().map(|shape| shape.begins).chain(others)).ok()
});

/// The address of Slack's web hooks.
const SLACK_HOOK: &str = "hooks.slack.com/services/";

/// All secrets of a file's content, by line. In what is no text, only those that are known by their own form.
pub(super) fn find(path: &Path, content: &[u8]) -> Vec<Secret> {
    let text = String::from_utf8_lossy(content);
    let lines = || (1..).zip(text.lines());
    let formed = |text: &str| FORMS.as_ref().is_none_or(|forms| forms.is_match(text));
    let mut found = Vec::new();
    if formed(&text) {
        found = private_keys(&text);
        let tokens = lines().filter(|(_, it)| formed(it));
        found.extend(tokens.filter_map(|(line, it)| Some(Secret { kind: Kind::Token, line, what: token(it)? })));
    }
    if content.contains(&0) {
        return found;
    }
    let (called, example) = (Called::of(path), is_example(path));
    let said = |line: &str| if example { None } else { credentials(&called, line) }.or_else(|| address(line));
    found.extend(lines().filter_map(|(line, it)| Some(Secret { kind: Kind::Credentials, line, what: said(it)? })));
    found
}

/// Armoured private keys with at least a line of their own inside.
fn private_keys(text: &str) -> Vec<Secret> {
    const KINDS: [(&str, &str); 8] = [
        ("OPENSSH PRIVATE KEY", "a private key of SSH"),
        ("RSA PRIVATE KEY", "a private RSA key"),
        ("EC PRIVATE KEY", "a private EC key"),
        ("DSA PRIVATE KEY", "a private DSA key"),
        ("ENCRYPTED PRIVATE KEY", "a private key, encrypted"),
        ("PRIVATE KEY", "a private key"),
        ("PGP PRIVATE KEY BLOCK", "a private key of OpenPGP"),
        ("SSH2 ENCRYPTED PRIVATE KEY", "a private key of SSH, encrypted"),
    ];
    let is_base64 =
        |line: &str| line.len() >= 40 && line.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines().map(str::trim));
    while let Some((line, content)) = lines.next() {
        let Some((_, after)) = content.split_once("-----BEGIN ").or_else(|| content.split_once("---- BEGIN ")) else {
            continue;
        };
        let Some((label, rest)) = after.split_once("----") else { continue };
        let Some((_, what)) = KINDS.iter().find(|(kind, _)| *kind == label.trim()) else { continue };
        // In a string of a program or of JSON its lines end with the letters `\n`.
        let inside = rest.trim_start_matches('-').split("\\n").map(str::trim).filter(|it| !it.is_empty());
        // An armour may have headers, and ends with an empty line after them.
        let below = lines.clone().map(|(_, line)| line).take(6).filter(|it| !it.is_empty());
        let body = inside.chain(below).find(|it| !it.contains(": "));
        if body.is_some_and(|it| is_base64(it.trim_end_matches(['"', '\'', ',', '\\']))) {
            found.push(Secret { kind: Kind::PrivateKey, line, what });
        }
    }
    // The private half of a pair of WireGuard has its own form.
    let wireguard = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        (key.trim() == "PrivateKey" && value.len() == 44 && value.ends_with('=') && is_base64(value)).then_some(())
    };
    let own = (1..).zip(text.lines()).filter(|(_, line)| wireguard(line).is_some());
    found.extend(own.map(|(line, _)| Secret { kind: Kind::PrivateKey, line, what: "a private key of WireGuard" }));
    found
}

/// The first token of a line.
pub(super) fn token(line: &str) -> Option<&'static str> {
    let hook = || slack_hooks(line).next().map(|_| "a web hook of Slack");
    shaped(line).next().map(|(_, what)| what).or_else(hook)
}

/// Where tokens are in a text.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    shaped(text).map(|(range, _)| range).chain(slack_hooks(text))
}

/// The tokens of a text that are known by their shape.
fn shaped(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    SHAPES.iter().flat_map(move |shape| {
        let fits = |c: &u8| match shape.body {
            Body::Letters => c.is_ascii_alphanumeric(),
            Body::Capitals => c.is_ascii_uppercase() || c.is_ascii_digit(),
            Body::Url => c.is_ascii_alphanumeric() || *c == b'-' || *c == b'_',
        };
        text.match_indices(shape.begins).filter_map(move |(at, _)| {
            let rest = &text[at + shape.begins.len()..];
            if text[..at].ends_with(is_word) {
                return None;
            }
            // No more is looked at than a token can have: a line may be long.
            let length = rest.bytes().take(shape.most + 1).take_while(|byte| fits(byte)).count();
            let (body, after) = rest.split_at(length);
            let whole = !after.starts_with(is_word) && (shape.least..=shape.most).contains(&length);
            (whole && !is_placeholder(body) && is_mixed(body))
                .then(|| (at..at + shape.begins.len() + body.len(), shape.what))
        })
    })
}

/// What follows `hooks.slack.com/services/`: `T…/B…/…`. Whoever has it can write.
fn slack_hooks(text: &str) -> impl Iterator<Item = Range<usize>> {
    /// No part of one is longer, bytes.
    const LONGEST: usize = 64;
    let part = |rest: &str| rest.bytes().take(LONGEST).take_while(u8::is_ascii_alphanumeric).count();
    text.match_indices(SLACK_HOOK).filter_map(move |(at, begin)| {
        let begin = at + begin.len();
        let (team, rest) = text[begin..].split_at(part(&text[begin..]));
        let rest = rest.strip_prefix('/')?;
        let (app, rest) = rest.split_at(part(rest));
        let rest = rest.strip_prefix('/')?;
        let last = &rest[..part(rest)];
        let fits = team.starts_with('T') && team.len() >= 8 && app.starts_with('B') && last.len() >= 20;
        let end = text.len() - rest.len() + last.len();
        (fits && !is_placeholder(last) && is_mixed(last)).then_some(begin..end)
    })
}

/// Whether it has several different characters, as what is drawn by lot has.
fn is_mixed(body: &str) -> bool {
    let mut letters: Vec<char> = body.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() >= 8
}

/// A password in an address: `https://me:password@host/`.
fn address(line: &str) -> Option<&'static str> {
    // What documentation says in place of one, and where no stranger gets.
    const WORDS: [&str; 6] = ["pass", "passwd", "pw", "pwd", "token", "user"];
    const HOSTS: [&str; 5] = ["localhost", "127.0.0.1", "[::1]", "host", "hostname"];
    for (at, _) in line.match_indices("://") {
        let rest = &line[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>()|\\".contains(c)).unwrap_or(rest.len());
        let Some((user, host)) = rest[..end].rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        let shown = stands_for_one(password) || WORDS.contains(&password) || password == name;
        let near =
            HOSTS.iter().any(|it| host.strip_prefix(it).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
        if !shown && !near && !host.contains("example") {
            return Some("a password in an address");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::secret_files::by_name;
    use super::*;

    fn kinds(path: &str, text: &str) -> Vec<(Kind, usize)> {
        find(Path::new(path), text.as_bytes()).into_iter().map(|secret| (secret.kind, secret.line)).collect()
    }

    /// Put together here, so that no scanner takes this file for a leak.
    fn made(begins: &str, length: usize) -> String {
        let letters = "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE";
        begins.to_owned() + &letters.chars().cycle().take(length).collect::<String>()
    }

    #[test]
    fn tokens_are_known_by_their_beginnings_and_lengths() {
        let capitals = |begins: &str| made(begins, 16).to_uppercase();
        for token in [
            capitals("AKIA"),
            made("ghp_", 36),
            made("github_pat_", 82),
            made("xoxb-", 40),
            made("glpat-", 20),
            made("sk-", 48),
            made("npm_", 36),
            made("pypi-AgEIcHlwaS5vcmc", 60),
            made("AIza", 35),
            format!("https://hooks.slack.com/services/T0{}/B0{}/{}", capitals(""), capitals(""), made("", 24)),
        ] {
            assert_eq!(kinds("/root/x.sh", &format!("\nTOKEN=\"{token}\"")), [(Kind::Token, 2)], "{token}");
        }
        let example = ["AKIA", "IOSFODNN7", "EXAMPLE"].concat();
        for fine in [
            example,
            made("ghp_", 12),
            format!("x{}", made("ghp_", 36)),
            "ghp_".to_owned() + &"x".repeat(36),
            made("ghp_", 300),
        ] {
            assert_eq!(kinds("/root/x.sh", &format!("TOKEN={fine}")), [], "{fine}");
        }
    }

    #[test]
    fn private_keys_are_known_by_what_is_inside() {
        let key = |label: &str, body: &str| format!("x\n-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let body = made("", 64);
        for label in ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            assert_eq!(kinds("/root/k", &key(label, &body)), [(Kind::PrivateKey, 2)], "{label}");
        }
        let pgp = key("PGP PRIVATE KEY BLOCK", &format!("Version: 1\n\n{body}"));
        assert_eq!(kinds("/root/k", &pgp), [(Kind::PrivateKey, 2)]);
        assert_eq!(kinds("/root/k", &key("PUBLIC KEY", &body)), []);
        assert_eq!(kinds("/root/k", &key("PGP PUBLIC KEY BLOCK", &body)), []);
        assert_eq!(kinds("/root/k", &key("RSA PRIVATE KEY", "...")), []);
        assert_eq!(kinds("/root/k.md", "grep -----BEGIN PRIVATE KEY----- file\n"), []);
        // In a string of JSON or of a program, in a script, and below an indentation.
        let string = format!("  \"key\": \"-----BEGIN PRIVATE KEY-----\\n{body}\\n-----END PRIVATE KEY-----\\n\",\n");
        assert_eq!(kinds("/root/a.json", &string), [(Kind::PrivateKey, 1)]);
        let script = format!("KEY=\"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\"\n");
        assert_eq!(kinds("/root/a.sh", &script), [(Kind::PrivateKey, 1)]);
        assert_eq!(
            kinds("/root/a.yml", &key("RSA PRIVATE KEY", &body).replace('\n', "\n    ")),
            [(Kind::PrivateKey, 2)]
        );
        assert_eq!(kinds("/root/k.py", "KEY = \"-----BEGIN PRIVATE KEY-----\\n...\"\n"), []);
        let wireguard = format!("[Interface]\nPrivateKey = {}=\nPublicKey = {}=\n", made("", 43), made("", 43));
        assert_eq!(kinds("/etc/wireguard/wg0.conf", &wireguard), [(Kind::PrivateKey, 2)]);
    }

    #[test]
    fn what_is_no_text_is_looked_through_too() {
        let program = |inside: &str| [b"\x7fELF\0\xff\xfe", inside.as_bytes(), b"\0\0\n"].concat();
        let found = |content: &[u8]| find(Path::new("/usr/local/bin/tool"), content).len();
        assert_eq!(found(&program(&made("ghp_", 36))), 1);
        let key = format!("\n-----BEGIN RSA PRIVATE KEY-----\n{}\n", made("", 64));
        assert_eq!(found(&program(&key)), 1);
        // What a program says of keys and addresses is none.
        assert_eq!(found(&program("-----BEGIN PRIVATE KEY-----\0ghp_\0https://%s:%s@%s/\0")), 0);
        assert_eq!(found(&program("https://me:hunter22@box.net/")), 0);
    }

    #[test]
    fn passwords_in_addresses_are_known_and_words_for_them_are_none() {
        let secret = [(Kind::Credentials, 1)];
        for line in [
            "git clone https://me:hunter2@git.company.net/x.git",
            "DATABASE=postgres://app:k9#x@db",
            "Server = https://ann:s3cr3t!@mirror.company.net/$repo/os/$arch",
            "redis://:hunter22@cache:6379",
        ] {
            // What has `#` in it ends there, as in any address.
            let expected: &[(Kind, usize)] = if line.contains("k9#") { &[] } else { &secret };
            assert_eq!(kinds("/r/x", line), expected, "{line}");
        }
        for line in [
            "https://user:password@box.net",
            "https://user:pass@box.net",
            "https://me:hunter2@example.org",
            "https://me:$TOKEN@box.net",
            "https://x-access-token:${{ secrets.T }}@github.com",
            "postgres://postgres:postgres@db",
            "postgres://app:hunter2@localhost:5432",
            "ssh://git@box.net:22/x",
            "see https://box.net/a:b@c",
            "mail to me: x@y",
        ] {
            assert_eq!(kinds("/r/x", line), [], "{line}");
        }
    }

    #[test]
    fn names_alone_say_enough() {
        let kind = |path: &str| by_name(Path::new(path)).map(|it| it.kind);
        for path in ["/r/id_ed25519", "/r/.ssh/id_rsa", "/r/me.p12", "/r/a.jks", "/etc/krb5.keytab", "/r/Key.PPK"] {
            assert_eq!(kind(path), Some(Kind::PrivateKey), "{path}");
        }
        for path in [
            "/root/.bash_history",
            "/root/.local/share/fish/fish_history",
            "/root/.mozilla/firefox/x.default/cookies.sqlite",
            "/root/.config/chromium/Default/Cookies",
            "/root/.config/chromium/Default/Login Data",
            "/r/terraform.tfstate",
            "/r/all.kdbx",
        ] {
            assert_eq!(kind(path), Some(Kind::Credentials), "{path}");
        }
        for path in ["/r/id_rsa.pub", "/r/id_ed25519.pub", "/r/.keystore", "/r/Cookies", "/r/history", "/r/key.rs", "/"]
        {
            assert_eq!(kind(path), None, "{path}");
        }
    }

    #[test]
    fn credentials_are_known_by_their_file_and_examples_are_none() {
        let value = made("", 20);
        let secret = [(Kind::Credentials, 1)];
        assert_eq!(kinds("/r/.env", &format!("API_TOKEN={value}")), secret);
        assert_eq!(kinds("/r/.env.production", &format!("export DB_PASSWORD='{value}'")), secret);
        assert_eq!(kinds("/r/.netrc", &format!("machine x login me password {value}")), secret);
        assert_eq!(kinds("/r/.git-credentials", &format!("https://me:{value}@example.org")), secret);
        assert_eq!(kinds("/r/.aws/credentials", &format!("aws_secret_access_key = {value}")), secret);
        assert_eq!(kinds("/r/my-credentials.json", &format!("  \"private_key\": \"{value}\",")), secret);
        let wifi = "/etc/NetworkManager/system-connections/x.nmconnection";
        assert_eq!(kinds(wifi, &format!("psk={value}")), secret);
        assert_eq!(kinds("/etc/NetworkManager/system-connections/home", "psk=hunter2x"), secret);
        assert_eq!(kinds("/r/.netrc", "password hunter2"), secret);
        assert_eq!(kinds("/r/.cargo/credentials.toml", &format!("token = \"{value}\"")), secret);
        assert_eq!(kinds("/r/.kube/config", &format!("    client-key-data: {value}")), secret);
        assert_eq!(kinds("/r/.curlrc", "user = \"me:hunter2\""), secret);
        assert_eq!(kinds("/var/lib/iwd/Home.psk", &format!("Passphrase={value}")), secret);
        assert_eq!(kinds("/etc/wpa_supplicant/wpa_supplicant.conf", &format!("  psk=\"{value}\"")), secret);
        assert!(by_name(Path::new("/root/.gnupg/secring.gpg")).is_some());
        assert!(by_name(Path::new("/root/.gnupg/private-keys-v1.d/AB.key")).is_some());
        assert!(by_name(Path::new("/root/.gnupg/pubring.gpg")).is_none());
        for (path, text) in [
            ("/etc/NetworkManager/system-connections/x.nmconnection", "psk-flags=1".to_owned()),
            ("/etc/NetworkManager/system-connections/x.nmconnection", "psk=<password>".to_owned()),
            ("/etc/wpa_supplicant/wpa_supplicant.conf", format!("#psk=\"{value}\"")),
            ("/r/.env.example", format!("API_TOKEN={value}")),
            ("/r/.env", "API_TOKEN=changeme-please".to_owned()),
            ("/r/.env", "API_TOKEN=${API_TOKEN}".to_owned()),
            ("/r/.env", format!("TOKEN_FILE=/run/{value}")),
            ("/r/.env", format!("# API_TOKEN={value}")),
            ("/r/vm.env", "OMARCHY_PATH=/root/omarchy".to_owned()),
            ("/r/.netrc", "machine x login me".to_owned()),
            ("/r/config.json", format!("\"password\": \"{value}\"")),
            ("/r/credentials.json", "\"client_id\": \"abcdefghijkl\"".to_owned()),
        ] {
            assert_eq!(kinds(path, &text), [], "{path} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([A-Za-z0-9-]{0,40}[ =:\"/\n]){0,8}|.*") {
            for name in [".env", ".netrc", ".git-credentials", ".curlrc", ".pgpass", "x.nmconnection"] {
                find(&Path::new("/root").join(name), text.as_bytes());
            }
        }
    }
}
