//! How secrets look: private keys by their armour, tokens by the beginnings that services give them so that they can be
//! found, credentials by the files that programs keep them in. A public key, an example or a place for a value is none.

use std::path::Path;

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
const SHAPES: [Shape; 24] = [
    shape("AKIA", Body::Capitals, 16, 16, "an access key of AWS"),
    shape("ASIA", Body::Capitals, 16, 16, "a temporary access key of AWS"),
    shape("AIza", Body::Url, 35, 35, "an API key of Google"),
    shape("AGE-SECRET-KEY-1", Body::Capitals, 58, 58, "a secret key of age"),
    shape("dop_v1_", Body::Letters, 64, 64, "a token of DigitalOcean"),
    shape("ghp_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("gho_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghu_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghs_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("ghr_", Body::Letters, 36, 255, "a token of GitHub"),
    shape("github_pat_", Body::Url, 82, 255, "a token of GitHub"),
    shape("glpat-", Body::Url, 20, 300, "a token of GitLab"),
    shape("hf_", Body::Letters, 34, 40, "a token of Hugging Face"),
    shape("npm_", Body::Letters, 36, 36, "a token of npm"),
    shape("pypi-AgEIcHlwaS5vcmc", Body::Url, 50, 500, "a token of PyPI"),
    shape("sk-ant-api", Body::Url, 80, 200, "an API key of Anthropic"),
    shape("sk-proj-", Body::Url, 40, 300, "an API key of OpenAI"),
    shape("sk_live_", Body::Letters, 24, 200, "a secret key of Stripe"),
    shape("SG.", Body::Url, 22, 22, "a key of SendGrid"),
    shape("tskey-auth-", Body::Url, 20, 100, "a key of Tailscale"),
    shape("xoxb-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxp-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxa-", Body::Url, 20, 200, "a token of Slack"),
    shape("xoxr-", Body::Url, 20, 200, "a token of Slack"),
];

/// Parts of a name that say that its value is secret.
const SECRET_NAMES: [&str; 10] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "AUTH_KEY",
];

/// All secrets of a text, by line.
pub(super) fn find(path: &Path, text: &str) -> Vec<Secret> {
    let mut found = private_keys(text);
    let lines = || (1..).zip(text.lines());
    for (line, content) in lines() {
        found.extend(token(content).map(|what| Secret { kind: Kind::Token, line, what }));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let is_example = ["example", "sample", "template", "dist", "default"].iter().any(|word| name.contains(word));
    if !is_example {
        let what = |content: &str| credentials(&name, folder, content);
        found.extend(
            lines().filter_map(|(line, content)| Some(Secret { kind: Kind::Credentials, line, what: what(content)? })),
        );
    }
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
    let mut lines = (1..).zip(text.lines().map(str::trim)).peekable();
    while let Some((line, content)) = lines.next() {
        let label = content.trim_matches('-').trim();
        let kind = label.strip_prefix("BEGIN ").and_then(|label| KINDS.iter().find(|(kind, _)| *kind == label));
        let Some((_, what)) = kind.filter(|_| content.starts_with("----")) else { continue };
        // An armour may have headers, and ends with an empty line after them.
        let body = lines.clone().map(|(_, line)| line).take(6).find(|line| !line.is_empty() && !line.contains(": "));
        if body.is_some_and(is_base64) {
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
fn token(line: &str) -> Option<&'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for shape in &SHAPES {
        let fits = |c: &char| match shape.body {
            Body::Letters => c.is_ascii_alphanumeric(),
            Body::Capitals => c.is_ascii_uppercase() || c.is_ascii_digit(),
            Body::Url => c.is_ascii_alphanumeric() || *c == '-' || *c == '_',
        };
        for (at, _) in line.match_indices(shape.begins) {
            let rest = &line[at + shape.begins.len()..];
            let body: String = rest.chars().take_while(fits).collect();
            let whole = !line[..at].ends_with(is_word) && !rest[body.len()..].starts_with(is_word);
            if whole && (shape.least..=shape.most).contains(&body.len()) && !is_placeholder(&body) && is_mixed(&body) {
                return Some(shape.what);
            }
        }
    }
    slack_hook(line)
}

/// `hooks.slack.com/services/T…/B…/…`: whoever has it can write.
fn slack_hook(line: &str) -> Option<&'static str> {
    let mut parts = line.split("hooks.slack.com/services/").nth(1)?.split('/');
    let (team, app) = (parts.next()?, parts.next()?);
    let last: String = parts.next()?.chars().take_while(char::is_ascii_alphanumeric).collect();
    let fits = team.starts_with('T') && team.len() >= 8 && app.starts_with('B') && last.len() >= 20;
    (fits && !is_placeholder(&last) && is_mixed(&last)).then_some("a web hook of Slack")
}

/// Whether it has several different characters, as what is drawn by lot has.
fn is_mixed(body: &str) -> bool {
    let mut letters: Vec<char> = body.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() >= 8
}

/// Whether a value stands where a secret will be.
fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 14] = [
        "example",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "your",
        "xxxx",
        "secret",
        "password",
        "todo",
        "dummy",
        "redacted",
        "0000",
        "1234567890",
    ];
    let lower = value.to_lowercase();
    value.len() < 8
        || value.starts_with(['$', '<', '{', '%', '*'])
        || value.contains("...")
        || WORDS.iter().any(|word| lower.contains(word))
}

/// A secret by the file that it is in.
fn credentials(name: &str, folder: &str, line: &str) -> Option<&'static str> {
    let line = line.trim();
    if line.starts_with('#') || line.starts_with(';') || line.starts_with("//") {
        return None;
    }
    let value_of = |key: &str| {
        let (left, value) = line.split_once(key)?;
        let value = value.trim().trim_matches(['"', '\'', ',', ' ']);
        (!is_placeholder(value)).then_some(left)
    };
    if name == ".netrc" || name == "_netrc" {
        let mut words = line.split_whitespace().skip_while(|word| *word != "password").skip(1);
        return words.next().filter(|value| !is_placeholder(value)).map(|_| "a password of netrc");
    }
    match (folder, name) {
        (_, ".git-credentials") => {
            let login = line.split_once("://")?.1.split_once('@')?.0;
            login.split_once(':').filter(|(_, value)| !is_placeholder(value)).map(|_| "a password of git")
        }
        (_, ".pgpass") => line
            .rsplit(':')
            .next()
            .filter(|value| line.matches(':').count() >= 4 && !is_placeholder(value))
            .map(|_| "a password of PostgreSQL"),
        _ if name.ends_with(".nmconnection") => {
            value_at(line, &["psk", "password", "wep-key0"]).map(|_| "a password of a network")
        }
        _ if name.ends_with(".psk") => value_at(line, &["Passphrase", "PreSharedKey"]).map(|_| "a password of a Wi-Fi"),
        _ if name.starts_with("wpa_supplicant") => {
            value_at(line, &["psk", "password"]).map(|_| "a password of a Wi-Fi")
        }
        (_, ".npmrc") => value_of("_authToken=").map(|_| "a token of npm"),
        (_, ".pypirc") => value_of("password").map(|_| "a password of PyPI"),
        (".aws", "credentials") => value_of("aws_secret_access_key").map(|_| "a secret key of AWS"),
        (".docker", "config.json") => value_of("\"auth\":").map(|_| "a login of a container registry"),
        _ if name == ".env" || name.starts_with(".env.") || name.ends_with(".env") => env_secret(line),
        _ if name.ends_with(".json")
            && (name.contains("credential") || name.contains("secret") || name.contains("service-account")) =>
        {
            json_secret(line)
        }
        _ => None,
    }
}

/// The value of one of these keys, if it is no place for one.
fn value_at<'l>(line: &'l str, keys: &[&str]) -> Option<&'l str> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim().trim_matches('"');
    (keys.contains(&key.trim()) && !is_placeholder(value)).then_some(value)
}

/// A secret by what a file is called alone: OpenPGP keeps its keys in no form of text.
pub(super) fn by_name(path: &Path) -> Option<Secret> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.file_name()?.to_str()?;
    let private = name == "secring.gpg" || (folder == "private-keys-v1.d" && name.ends_with(".key"));
    private.then_some(Secret { kind: Kind::PrivateKey, line: 1, what: "a private key of OpenPGP" })
}

/// `NAME=value` of an environment file whose name says that it is secret.
fn env_secret(line: &str) -> Option<&'static str> {
    let (name, value) = line.trim_start_matches("export ").split_once('=')?;
    let name = name.trim().to_uppercase();
    // What ends so names a secret, and is none.
    let names = ["_FILE", "_PATH", "_URL", "_ID", "_NAME", "_TTL"].iter().any(|end| name.ends_with(end));
    let value = value.trim().trim_matches(['"', '\'']);
    (SECRET_NAMES.iter().any(|it| name.contains(it)) && !names && !is_placeholder(value))
        .then_some("a secret in an environment file")
}

/// `"name": "value"` of a JSON file of credentials.
fn json_secret(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once("\":")?;
    let name = name.rsplit('"').next()?.trim_start_matches('!').to_uppercase().replace('-', "_");
    let value = value.trim().strip_prefix('"')?.split('"').next()?;
    let secret = SECRET_NAMES.iter().any(|it| name.contains(it)) && !name.ends_with("_ID") && !name.ends_with("_URI");
    (secret && !is_placeholder(value)).then_some("a secret in a file of credentials")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(path: &str, text: &str) -> Vec<(Kind, usize)> {
        find(Path::new(path), text).into_iter().map(|secret| (secret.kind, secret.line)).collect()
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
        let wireguard = format!("[Interface]\nPrivateKey = {}=\nPublicKey = {}=\n", made("", 43), made("", 43));
        assert_eq!(kinds("/etc/wireguard/wg0.conf", &wireguard), [(Kind::PrivateKey, 2)]);
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
            find(Path::new("/root/.env"), &text);
            find(Path::new("/root/.netrc"), &text);
            find(Path::new("/root/.git-credentials"), &text);
        }
    }
}
