//! What is done to an archiso root file system besides installing packages, as scripts: the contract of mkarchiso (version 88)
//! in our own words, step by step in its order. Pure.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::profile::{Definition, FilePermission};
use crate::rootfs::{RootTree, Script};
use crate::stage::base;

/// How many paths a command gets at most, so that long ones have room too (execve(2), "Limits on size").
const WORDS: usize = 100;

/// Lays out the root: the profile's `airootfs` with fresh owners and modes, the modes that `modes` names for files that are
/// programs, the definition's own permissions, and the folders that pacman and its hooks expect.
pub(super) fn layout(
    root: &Path,
    airootfs: &Path,
    modes: &BTreeMap<PathBuf, u32>,
    permissions: &BTreeMap<String, FilePermission>,
) -> Script {
    let mut script = Script::new();
    script.set("root", root);
    script.text(OWNER).text("owner 0:0 \"$root\"; chmod 755 -- \"$root\"");
    if airootfs.is_dir() {
        let from = airootfs.join(".");
        let copy: [&OsStr; 5] =
            ["cp".as_ref(), "-af".as_ref(), "--no-preserve=ownership,mode".as_ref(), "--".as_ref(), from.as_os_str()];
        script.run(copy.into_iter().chain([root.as_os_str()]));
    }
    let mut alike: BTreeMap<u32, Vec<OsString>> = BTreeMap::new();
    for (path, mode) in modes {
        alike.entry(*mode).or_default().push(root.join(path.strip_prefix("/").unwrap_or(path)).into());
    }
    for (mode, paths) in alike {
        let mode = OsString::from(format!("{mode:o}"));
        for paths in paths.chunks(WORDS) {
            let paths = paths.iter().map(OsString::as_os_str);
            script.run([OsStr::new("chmod"), &mode, OsStr::new("--")].into_iter().chain(paths));
        }
    }
    script.text(PERMISSION);
    for (path, permission) in permissions {
        let FilePermission { uid, gid, mode } = permission;
        script.run([
            OsStr::new("permission"),
            OsStr::new(path),
            OsStr::new(&format!("{uid}:{gid}")),
            OsStr::new(&format!("{mode:o}")),
        ]);
    }
    script.text(
        "install -d -m 755 \"$root\"/var/cache/pacman/pkg \"$root\"/var/lib/pacman \"$root\"/var/log \"$root\"/etc/pacman.d",
    );
    RootTree::mount_points(&mut script, root);
    script
}

/// Runs the profile's own script as arch-chroot does for mkarchiso: inside the root, which finds names in the network as this
/// host does for that long. A `resolv.conf` that the script changes itself is left as it is.
pub(super) const CUSTOMIZE: &str = r#"path=/etc/resolv.conf count=0
while [ -L "$root$path" ] && [ $count -lt 8 ]; do
    target=$(readlink -- "$root$path"); count=$((count + 1))
    case $target in /*) path=$target ;; *) path=$(realpath -ms -- "$(dirname -- "$path")/$target") ;; esac
done
real=$(realpath -m -- "$root$path")
case $real in "$root"/*) ;; *) real=; echo "warning: /etc/resolv.conf leads out of the image: the script finds no names in the network" ;; esac
if [ -n "$real" ] && [ -e /etc/resolv.conf ]; then
    mkdir -p -- "$(dirname -- "$real")"
    if [ -e "$real" ]; then cp -a -- "$real" "$kept"; fi
    cat /etc/resolv.conf >"$real"
    code=0
    chroot "$root" "$place" || code=$?
    if cmp -s /etc/resolv.conf "$real"; then
        if [ -e "$kept" ]; then cat "$kept" >"$real"; touch -r "$kept" -- "$real"; else rm -f -- "$real"; fi
    fi
    exit $code
fi
exec chroot "$root" "$place""#;

/// Sets owner and mode of one path of the image, or of all below it when it ends with a slash. A path that leads out of the
/// root is refused; one that is not there is told.
const PERMISSION: &str = r#"# Whether no part of a path is a link or leads up: most are so, and no program is needed to see it.
plain() {
    case $1 in *..* | [!/]*) return 1 ;; esac
    local at=$root rest=${1#/}
    while [ -n "$rest" ]; do
        at=$at/${rest%%/*}
        if [ -L "$at" ]; then return 1; fi
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    done
}
permission() {
    local path=$root$1 real
    if plain "$1"; then
        :
    elif ! real=$(realpath -q -- "$path") || { [ "$real" != "$root" ] && [ "${real#"$root"/}" = "$real" ]; }; then
        if [ -e "$path" ] || [ -L "$path" ]; then echo "error: file_permissions: $1 leads out of the image" >&2; exit 1; fi
    fi
    if [ ! -e "$path" ]; then echo "warning: file_permissions: there is no $1 (yet)"; return 0; fi
    case $1 in
        */) owner "$2" "$path" -R; chmod -R -- "$3" "$path" ;;
        *) owner "$2" "$path"; chmod -- "$3" "$path" ;;
    esac
}"#;

/// Gives a path of the image to a user and a group, and says so if that fails. Where no user but root exists (user_namespaces(7),
/// `uid_map`), it stays root's, which is told.
const OWNER: &str = r#"ids=0
while read -r _ _ count; do ids=$((ids + count)); done </proc/self/uid_map
alone=$((ids <= 1))
owner() {
    local path=$2
    if [ "$alone" = 1 ]; then
        if [ "$1" != 0:0 ]; then echo "warning: ${path#"$root"} stays root's: there is no user $1 here"; fi
        return 0
    fi
    # Root made it, mostly.
    if [ "$1${3-}" = 0:0 ] && [ -O "$path" ] && [ -G "$path" ] && [ ! -L "$path" ]; then return 0; fi
    if ! chown -h ${3-} -- "$1" "$path"; then
        echo "error: ${path#"$root"} cannot be given to $1" >&2
        exit 1
    fi
}"#;

/// After the packages: the version files, `os-release`, homes of the profile's own users.
pub(super) fn finish(root: &Path, definition: &Definition, passwd: Option<&Path>, epoch: u64) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("iso_name", &definition.iso_name).set("iso_version", &definition.iso_version);
    script.set("epoch", epoch.to_string()).text(VERSION);
    if let Some(passwd) = passwd {
        script.set("passwd", passwd).text(OWNER).text(HOMES);
    }
    script
}

/// The profile's own script in the root.
pub(super) const OWN: &str = "root/customize_airootfs.sh";

/// What [`tell_own`] says last.
pub(super) const OWN_IS_THERE: &str = "customize_airootfs.sh is there";

/// Says in the last line whether the profile has a script of its own, which may then be run. Its folder may be closed to us
/// outside of the namespace: it is looked for inside.
pub(super) fn tell_own(root: &Path) -> Script {
    let mut script = Script::new();
    script.set("own", root.join(OWN)).set("is_there", OWN_IS_THERE);
    script.text("if [ -e \"$own\" ]; then chmod -f +x -- \"$own\"; printf '%s\\n' \"$is_there\"; fi");
    script
}

/// The list of packages: all that are there, also those that the profile's own script has installed.
pub(super) fn list(root: &Path, pkglist: &Path) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("pkglist", pkglist);
    script.text(base::PACKAGE_LISTS).text("pacman_packages >\"$pkglist\"");
    script
}

/// `os-release` may be a link, absolute or not; what it leads to must lie in the root.
const VERSION: &str = r#"rm -f -- "$root/version"
printf '%s\n' "$iso_version" >"$root/version"
inside() {
    local path=$1 target count=0
    while [ -L "$root$path" ] && [ $count -lt 8 ]; do
        target=$(readlink -- "$root$path"); count=$((count + 1))
        case $target in /*) path=$target ;; *) path=$(realpath -ms -- "$(dirname -- "$path")/$target") ;; esac
    done
    printf '%s' "$path"
}
release=$(inside /etc/os-release)
if [ ! -e "$root$release" ] && [ -e "$root/usr/lib/os-release" ]; then release=/usr/lib/os-release; fi
real=$(realpath -m -- "$root$release")
case $real in
    "$root"/*)
        if [ -e "$real" ]; then sed -i '/^IMAGE_ID=/d;/^IMAGE_VERSION=/d' -- "$real"; fi
        mkdir -p -- "$(dirname -- "$real")"
        printf 'IMAGE_ID=%s\nIMAGE_VERSION=%s\n' "$iso_name" "$iso_version" >>"$real"
        ;;
    *) echo "warning: os-release leads out of the image and is left as it is" ;;
esac
mkdir -p -- "$root/usr/lib"
touch -m -d "@$epoch" -- "$root/usr/lib/clock-epoch""#;

/// Users of the profile's own passwd(5) get `/etc/skel` and their home, if they are people (1000 to 59999).
const HOMES: &str = r#"while IFS=: read -r name _ uid gid _ home _ || [ -n "$name" ]; do
    case $uid in '' | *[!0-9]*) continue ;; esac
    if [ "$uid" -lt 1000 ] || [ "$uid" -ge 60000 ] || [ -z "$home" ] || [ "$home" = / ]; then continue; fi
    case $(realpath -m -- "$root$home") in
        "$root"/*) ;;
        *) echo "error: the home of $name, $home, leads out of the image" >&2; exit 1 ;;
    esac
    if [ ! -d "$root$home" ]; then install -d -m 750 -- "$root$home"; fi
    if [ -d "$root/etc/skel" ]; then
        # What is there already stays.
        cp -dRTn --preserve=mode,timestamps,links -- "$root/etc/skel/." "$root$home"
    fi
    chmod -f 750 -- "$root$home"
    owner "$uid:$gid" "$root$home" -R
done <"$passwd""#;

/// Takes away what an image must not carry, and what would differ from build to build: sync databases, cached packages, logs,
/// temporary files, `.pacnew` and its like, the machine's identity, and the moment that each package was installed.
pub(super) fn cleanup(root: &Path, epoch: u64, ours: &[&str]) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("epoch", epoch.to_string()).set("identity", "uninitialized\n");
    for path in ours {
        script.run([OsStr::new("rm"), OsStr::new("-rf"), OsStr::new("--"), root.join(path).as_os_str()]);
    }
    script.text(base::TIDY).text(CLEANUP);
    script
}

const CLEANUP: &str = r#"clean "$root/boot" -mindepth 1
clean "$root/var/lib/pacman" -maxdepth 1 -type f
clean "$root/var/lib/pacman/sync"
clean "$root/var/cache/pacman/pkg" -type f
clean "$root/var/log" -type f
find "$root" \( -name '*.pacnew' -o -name '*.pacsave' -o -name '*.pacorig' \) -delete
find "$root/var/lib/pacman/local" -mindepth 2 -maxdepth 2 -name desc -print0 |
    xargs -0r sed -i "/^%INSTALLDATE%\$/{n;s/.*/$epoch/}""#;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &Script) -> String {
        String::from_utf8_lossy(script.bytes()).into_owned()
    }

    #[test]
    fn every_script_is_bash() {
        let root = Path::new("/w/ro'ot");
        let definition = crate::profile::Definition {
            iso_name: "a b".into(),
            iso_version: "$(touch /tmp/x)".into(),
            ..Definition::default()
        };
        let permission = FilePermission { uid: 0, gid: 3, mode: 0o4755 };
        let scripts = [
            layout(root, Path::new("/"), &[("/x y".into(), 0o755)].into(), &[("/a'b/".into(), permission)].into()),
            finish(root, &definition, Some(Path::new("/p")), 7),
            tell_own(root),
            list(root, Path::new("/l")),
            cleanup(root, 7, &["etc/initcpio/hooks/cartridge"]),
            base::collect(root, Path::new("/b")),
        ];
        for script in &scripts {
            let line = cartridge_supervise::CommandLine::new("bash").arg("-n").stdin(script.bytes());
            cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        }
        assert!(text(&scripts[0]).contains("permission '/a'\\''b/' 0:3 4755"));
        assert!(text(&scripts[1]).contains("iso_version='$(touch /tmp/x)'"));
    }
}
