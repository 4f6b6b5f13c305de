//! Which files hold secrets: those that programs keep passwords and keys in, by what stands in them, and those that are none to be
//! read by their name alone. An example or a place for a value is none.

use std::path::Path;

use super::secret_patterns::{Kind, Secret};

/// Parts of a name that say that its value is secret.
const SECRET_NAMES: [&str; 11] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "AUTH_KEY",
];
/// Names of passwords alone, as programs have them in their configurations.
const PASSWORDS: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PSK",
    "WPA_PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "EAP_PASSWORD",
    // WireGuard's, as wg(8) writes them: the word is the whole name.
    "PRIVATEKEY",
    "PRESHAREDKEY",
];
/// What ends so names a password of somebody's.
const SECRET_ENDS: [&str; 2] = ["_PASS", "_PWD"];
/// What ends so names a secret, and is none.
const OF_A_SECRET: [&str; 8] = ["_FILE", "_FD", "_PATH", "_URL", "_ID", "_NAME", "_TTL", "_REQUIRED"];
/// What begins so says that there is none (`--disabled-password`), or how much of it (`max_tokens`).
const NO_SECRET: [&str; 5] = ["NO_", "DISABLED_", "WITHOUT_", "MAX_", "NUM_"];

/// Ends of options of QEMU that name an object in which a secret is (its "secret" objects, by their id).
const ID_IN_QEMU: [&str; 3] = ["password-secret", "key-secret", "cookie-secret"];

/// What a name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// It is a password.
    Password,
    /// It has to do with something secret.
    Secret,
}

/// Whether the value of what has this name is a secret: of a variable, an option, a field.
pub(crate) fn named_secret(name: &str) -> Option<Named> {
    if ID_IN_QEMU.iter().any(|end| name.strip_suffix(end).is_some_and(|begin| !begin.ends_with(char::is_alphanumeric)))
    {
        return None;
    }
    let name = name.trim_start_matches('-').to_ascii_uppercase().replace(['-', '.'], "_");
    if PASSWORDS.contains(&name.as_str()) {
        return Some(Named::Password);
    }
    let named = SECRET_NAMES.iter().any(|it| name.contains(it)) || SECRET_ENDS.iter().any(|end| name.ends_with(end));
    let is_none = OF_A_SECRET.iter().any(|end| name.ends_with(end)) || NO_SECRET.iter().any(|it| name.starts_with(it));
    (named && !is_none).then_some(Named::Secret)
}

/// Names of private keys of SSH (ssh-keygen(1), "FILES"). Those in a form of text are known by that.
const SSH_KEYS: [&str; 6] = ["id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];
/// Ends of names of stores of keys and passwords.
const STORES: [(&str, &str); 10] = [
    (".p12", "a private key with its certificate"),
    (".pfx", "a private key with its certificate"),
    (".jks", "a store of keys of Java"),
    (".keystore", "a store of keys of Java"),
    (".keytab", "keys of Kerberos"),
    (".kdb", "a store of passwords of KeePass"),
    (".kdbx", "a store of passwords of KeePass"),
    (".ppk", "a private key of PuTTY"),
    (".keyring", "a store of passwords of GNOME"),
    (".kwl", "a store of passwords of KDE"),
];
/// Files that are a secret whatever is in them.
const NAMES: [(&str, &str); 30] = [
    (".ash_history", "the history of a shell"),
    (".bash_history", "the history of a shell"),
    (".sh_history", "the history of a shell"),
    (".zhistory", "the history of a shell"),
    (".zsh_history", "the history of a shell"),
    ("fish_history", "the history of a shell"),
    (".irb_history", "the history of a program"),
    (".mysql_history", "the history of a program"),
    (".node_repl_history", "the history of a program"),
    (".psql_history", "the history of a program"),
    (".python_history", "the history of a program"),
    (".rediscli_history", "the history of a program"),
    (".sqlite_history", "the history of a program"),
    ("cookies.sqlite", "cookies of a browser"),
    ("cookies.txt", "cookies of a browser"),
    ("key3.db", "keys to the passwords of a browser"),
    ("key4.db", "keys to the passwords of a browser"),
    ("logins.json", "passwords of a browser"),
    ("signons.sqlite", "passwords of a browser"),
    ("login data", "passwords of a browser"),
    (".htpasswd", "passwords of a web server"),
    (".vault-token", "a token of Vault"),
    ("access_tokens.db", "tokens of Google Cloud"),
    ("credentials.db", "a login of Google Cloud"),
    ("credentials.tfrc.json", "a token of Terraform"),
    ("terraform.tfstate", "a state of Terraform, which has passwords in it"),
    ("accesstokens.json", "tokens of Azure"),
    ("msal_token_cache.json", "tokens of Azure"),
    (".mylogin.cnf", "a login of MySQL"),
    ("krb5cc", "a ticket of Kerberos"),
];
/// Folders of a browser's profile, in which the file `Cookies` is what it is called.
const BROWSER: [&str; 2] = ["Default", "Network"];

/// A secret by what a file is called alone: it may be large, or in no form of text.
pub(super) fn by_name(path: &Path) -> Option<Secret> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let found = |kind, what| Some(Secret { kind, line: 1, what });
    if SSH_KEYS.contains(&name) {
        return found(Kind::PrivateKey, "a private key of SSH");
    }
    if name == "secring.gpg" || (folder == "private-keys-v1.d" && name.ends_with(".key")) {
        return found(Kind::PrivateKey, "a private key of OpenPGP");
    }
    if name == "Cookies" && (BROWSER.contains(&folder) || folder.starts_with("Profile ")) {
        return found(Kind::Credentials, "cookies of a browser");
    }
    let lower = name.to_lowercase();
    if let Some((_, what)) = NAMES.iter().find(|it| it.0 == lower) {
        return found(Kind::Credentials, what);
    }
    let (end, what) = STORES.iter().find(|it| lower.ends_with(it.0))?;
    // A name that is nothing but its end is one of a program's settings.
    let kind = if what.contains("key") { Kind::PrivateKey } else { Kind::Credentials };
    (lower.len() > end.len()).then_some(Secret { kind, line: 1, what })
}

/// Whether a file shows what another one looks like.
pub(super) fn is_example(path: &Path) -> bool {
    let name = path.file_name().map(|it| it.to_string_lossy().to_lowercase()).unwrap_or_default();
    ["example", "sample", "template", "dist", "default"].iter().any(|word| name.contains(word))
}

/// Whether a value stands where a secret will be. In a file that programs write, no more than that is passed over.
pub(super) fn stands_for_one(value: &str) -> bool {
    const WORDS: [&str; 9] =
        ["changeme", "change_me", "change-me", "password", "passphrase", "placeholder", "redacted", "secret", "hidden"];
    let lower = value.to_lowercase();
    value.len() < 4
        || value.starts_with(['$', '<', '{', '%', '*', '['])
        || value.contains("...")
        || lower.contains("xxxx")
        || lower.contains("example")
        || lower.contains("your")
        || WORDS.contains(&lower.as_str())
}

/// Whether a value stands where a secret will be, in a file that people write.
pub(super) fn is_placeholder(value: &str) -> bool {
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

/// A file as it is called: its name in small letters, and the folder that it is in.
pub(super) struct Called<'a> {
    name: String,
    folder: &'a str,
}

impl<'a> Called<'a> {
    pub(super) fn of(path: &'a Path) -> Self {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default().to_lowercase();
        Self { name, folder: path.parent().and_then(Path::file_name).and_then(|it| it.to_str()).unwrap_or_default() }
    }
}

/// A secret by the file that it is in.
pub(super) fn credentials(Called { name, folder }: &Called<'_>, line: &str) -> Option<&'static str> {
    let line = line.trim();
    if line.starts_with('#') || line.starts_with(';') || line.starts_with("//") {
        return None;
    }
    let value_of = |key: &str| {
        let (left, value) = line.split_once(key)?;
        let value = value.trim().trim_matches(['"', '\'', ',', ' ']);
        (!is_placeholder(value)).then_some(left)
    };
    match (*folder, name.as_str()) {
        (_, ".netrc" | "_netrc" | ".authinfo") => {
            let mut words = line.split_whitespace().skip_while(|word| *word != "password").skip(1);
            words.next().filter(|value| !stands_for_one(value)).map(|_| "a password of netrc")
        }
        (_, ".git-credentials") | ("git", "credentials") => {
            let login = line.split_once("://")?.1.rsplit_once('@')?.0;
            login.split_once(':').filter(|(_, value)| !stands_for_one(value)).map(|_| "a password of git")
        }
        (_, ".pgpass") => line
            .rsplit(':')
            .next()
            .filter(|value| line.matches(':').count() >= 4 && !stands_for_one(value))
            .map(|_| "a password of PostgreSQL"),
        ("system-connections", _) => network(line),
        _ if name.ends_with(".nmconnection") => network(line),
        ("netctl", _) => value_at(line, &["Key"]).map(|_| "a password of a network"),
        _ if name.ends_with(".psk") => value_at(line, &["Passphrase", "PreSharedKey"]).map(|_| "a password of a Wi-Fi"),
        _ if name.ends_with(".8021x") => {
            value_at(line, &["EAP-Password", "EAP-PEAP-Phase2-Password", "EAP-TTLS-Phase2-Password"])
                .map(|_| "a password of a Wi-Fi")
        }
        _ if name.starts_with("wpa_supplicant") => {
            value_at(line, &["psk", "password"]).map(|_| "a password of a Wi-Fi")
        }
        (_, "hostapd.conf") => value_at(line, &["wpa_passphrase", "wpa_psk"]).map(|_| "a password of a Wi-Fi"),
        (_, ".npmrc") => value_of("_authToken=").or_else(|| value_of("_password=")).map(|_| "a token of npm"),
        (_, ".yarnrc.yml") => value_of("npmAuthToken:").map(|_| "a token of npm"),
        (_, ".pypirc") => value_of("password").map(|_| "a password of PyPI"),
        (".aws", "credentials") => value_of("aws_secret_access_key").map(|_| "a secret key of AWS"),
        (".cargo", "credentials" | "credentials.toml") => {
            value_at(line, &["token"]).map(|_| "a token of a registry of crates")
        }
        (".docker", "config.json") | (_, "auth.json") => {
            value_of("\"auth\":").map(|_| "a login of a container registry")
        }
        (".kube", "config") => value_of("client-key-data:")
            .or_else(|| value_of("token:"))
            .or_else(|| value_of("password:"))
            .map(|_| "a login of Kubernetes"),
        (_, "rclone.conf") => value_at(line, &["pass", "token", "secret_access_key", "client_secret", "key"])
            .map(|_| "a password of rclone"),
        (_, ".s3cfg" | ".boto") => {
            value_at(line, &["secret_key", "aws_secret_access_key"]).map(|_| "a secret key of AWS")
        }
        (_, ".my.cnf" | ".smbcredentials" | ".wgetrc" | ".msmtprc") => {
            value_at(line, &["password", "http_password", "ftp_password"]).map(|_| "a password")
        }
        (_, ".curlrc" | "_curlrc") => {
            let value = line.trim_start_matches('-').strip_prefix("user")?.trim_matches([' ', '=', ':', '"', '\t']);
            value.split_once(':').filter(|(_, value)| !stands_for_one(value)).map(|_| "a password of curl")
        }
        _ if name == ".env" || name.starts_with(".env.") || name.ends_with(".env") => {
            env_secret(line).then_some("a secret in an environment file")
        }
        _ if name.ends_with(".json")
            && (name.contains("credential") || name.contains("secret") || name.contains("service-account")) =>
        {
            json_secret(line)
        }
        _ => None,
    }
}

/// A password in a connection of NetworkManager.
fn network(line: &str) -> Option<&'static str> {
    value_at(line, &["psk", "password", "wep-key0", "private-key-password"]).map(|_| "a password of a network")
}

/// The value of one of these keys, if it is no place for one.
fn value_at<'l>(line: &'l str, keys: &[&str]) -> Option<&'l str> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']);
    (keys.contains(&key.trim()) && !stands_for_one(value)).then_some(value)
}

/// Whether `NAME=value` has a name that says that it is secret.
pub(super) fn env_secret(line: &str) -> bool {
    let Some((name, value)) = line.trim_start_matches("export ").split_once('=') else { return false };
    let value = value.trim().trim_matches(['"', '\'']);
    named_secret(name.trim()).is_some() && !is_placeholder(value)
}

/// `"name": "value"` of a JSON file of credentials.
fn json_secret(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once("\":")?;
    let name = name.rsplit('"').next()?.trim_start_matches('!').to_uppercase().replace('-', "_");
    let value = value.trim().strip_prefix('"')?.split('"').next()?;
    let secret = SECRET_NAMES.iter().any(|it| name.contains(it)) && !name.ends_with("_ID") && !name.ends_with("_URI");
    (secret && !is_placeholder(value)).then_some("a secret in a file of credentials")
}
