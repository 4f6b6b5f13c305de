//! Hostile profiles, run with the real bash: nothing of them changes anything, lasts, or is believed, and each is told by its
//! own error within its time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod profile_support;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use isoprep::profile::{Bound, EvaluationLimits, Profile, ProfileError, ReadOptions};
use profile_support::{Place, all_gone, as_user, without_namespaces};

/// Limits that a hostile profile reaches soon; its time is long, because the machine may have other things to do.
fn short(place: &Place) -> ReadOptions {
    let limits = EvaluationLimits {
        time: Duration::from_secs(120),
        cpu_seconds: 2,
        memory_bytes: 256 << 20,
        processes: 24,
        file_bytes: 1 << 20,
        output_bytes: 1 << 20,
    };
    ReadOptions { limits, ..place.options() }
}

fn answer(profiledef: &str) -> Result<Profile, ProfileError> {
    let place = Place::new();
    place.define(profiledef).read_with(&short(&place))
}

fn error(profiledef: &str) -> ProfileError {
    match answer(profiledef) {
        Ok(profile) => panic!("it was read: {:?}", profile.definition),
        Err(error) => error,
    }
}

/// As [`error`], with other limits on time, in seconds.
fn error_in(time: u64, cpu_seconds: u64, profiledef: &str) -> ProfileError {
    let place = Place::new();
    let limits = EvaluationLimits { time: Duration::from_secs(time), cpu_seconds, ..short(&place).limits };
    let options = ReadOptions { limits, ..place.options() };
    place.define(profiledef).read_with(&options).unwrap_err()
}

fn computes_for_ever() {
    let error = error("while :; do :; done\n");
    assert!(matches!(error, ProfileError::OutOfBounds { bound: Bound::Processor(2), .. }), "{error}");
}

#[test]
fn endless_loops_end() {
    computes_for_ever();
    let idle = error_in(6, 2, "echo waiting\nread -r x < <(sleep 1000)\n");
    let ProfileError::TimedOut { after, output, .. } = &idle else { panic!("{idle}") };
    assert!(*after >= Duration::from_secs(6) && output == "waiting", "{idle}");
}

#[test]
fn fork_bombs_are_contained_and_nothing_of_them_lasts() {
    // Another run of these tests may be under way.
    let mark = &format!("cartridge-test-bomb-{}", std::process::id());
    let bomb = error_in(6, 2, &format!("b() {{ bash -c 'sleep 1000 # {mark}' & b | b; }}\nb\n"));
    assert!(matches!(bomb, ProfileError::OutOfBounds { bound: Bound::Processes(24), .. }), "{bomb}");
    assert!(all_gone(mark));
    // What is left behind in the background, in a session of its own, ends with the rest.
    let left = answer(&format!(
        "pacman_conf=pacman.conf\n(trap '' HUP TERM; setsid bash -c 'sleep 1000 # {mark}' &) >/dev/null 2>&1\niso_name=x\n"
    ));
    assert_eq!(left.unwrap().definition.iso_name, "x");
    assert!(all_gone(mark));
}

#[test]
fn memory_is_bounded() {
    for profiledef in ["x=aaaaaaaa\nwhile :; do x=$x$x; done\n", "x=$(head -c 2G /dev/zero | tr '\\0' x)\n"] {
        let error = error_in(120, 60, profiledef);
        assert!(matches!(error, ProfileError::OutOfBounds { bound: Bound::Memory(_), .. }), "{error}");
    }
}

#[test]
fn output_and_variables_are_bounded() {
    for profiledef in ["yes\n", "cat /dev/zero >&2\n", "printf -v x '%*s' 3000000 ''\n", "trap 'yes' EXIT\n:\nexit 0\n"]
    {
        let error = error_in(120, 60, profiledef);
        assert!(
            matches!(error, ProfileError::OutOfBounds { bound: Bound::Output(1_048_576), .. }),
            "{profiledef}{error}"
        );
    }
}

#[test]
fn large_files_in_its_own_tmp_are_bounded() {
    for profiledef in [
        "head -c 2000000 /dev/zero >/tmp/x\n",
        "printf '%*s' 2000000 '' >/tmp/x\n",
        "for i in {1..99}; do head -c 100000 /dev/zero >/tmp/$i; done\n",
        "for i in {1..9999}; do : >/dev/shm/$i; done\n",
    ] {
        let error = error_in(120, 60, profiledef);
        assert!(
            matches!(error, ProfileError::OutOfBounds { bound: Bound::FileSize(1_048_576), .. }),
            "{profiledef}{error}"
        );
    }
}

/// Writes wherever it may be, and tells in `written` where it worked.
const WRITER: &str = r#"
pacman_conf=pacman.conf
written=()
try() { { mkdir -p "$1" && echo x >"$1/cartridge-test-hostile"; } 2>/dev/null && written+=("$1") || :; }
for dir in ~ ~/.config /tmp /var/tmp /run /dev/shm "$profile" "$profile/.." /usr/local/bin /etc /sys/fs/cgroup /proc/sys/kernel; do
    try "$dir"
done
rm -rf "$profile"/packages* ~/secret 2>/dev/null || :
mount -o remount,rw / 2>/dev/null && written+=(remounted)
chmod 777 "$profile" 2>/dev/null && written+=(chmod)
touch -d @0 "$profile/profiledef.sh" 2>/dev/null && written+=(touch)
seen=$(ls -A ~)
out_of_memory_score=$(</proc/self/oom_score_adj)
:
"#;

fn writes_nothing(place: &Place) {
    let profile = place.define(WRITER).read_with(&short(place)).unwrap();
    let written = &profile.definition.unknown["written"];
    // Only what is its own and goes with it.
    for dir in written.trim_matches(['(', ')']).split(' ') {
        let home = place.home.to_str().unwrap();
        let own = ["/tmp", "/run", "/dev/shm", home, &format!("{home}/.config")].contains(&dir);
        assert!(own, "{written}");
    }
    let outside = ["/tmp", "/var/tmp", "/run", "/dev/shm", "/usr/local/bin", "/etc"];
    for dir in outside.iter().map(std::path::Path::new).chain([place.home.as_path(), place.profile.as_path()]) {
        assert!(fs::symlink_metadata(dir.join("cartridge-test-hostile")).is_err(), "{}", dir.display());
    }
    assert_eq!(profile.definition.unknown["out_of_memory_score"], "1000", "somebody else would be killed for it");
    let seen = &profile.definition.unknown["seen"];
    assert!(!seen.contains("secret"), "{seen}");
}

#[test]
fn it_writes_nowhere_and_sees_an_empty_home() {
    writes_nothing(&Place::new());
    writes_nothing(&Place::in_the_open());
}

#[test]
fn as_an_ordinary_user_too() {
    as_user("as_an_ordinary_user_too", || {
        writes_nothing(&Place::new());
        computes_for_ever();
        let bomb = error_in(6, 2, "b() { b | b; }\nb\n");
        assert!(matches!(bomb, ProfileError::OutOfBounds { bound: Bound::Processes(24), .. }), "{bomb}");
    });
}

#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let profile = answer(&format!(
        "pacman_conf=p\nreached=no\n{{ exec 5<>/dev/tcp/127.0.0.1/{port}; }} 2>/dev/null && reached=yes\ninterfaces=$(tail -n +3 /proc/net/dev | wc -l)\n"
    ))
    .unwrap();
    assert_eq!(profile.definition.unknown["reached"], "no");
    assert_eq!(profile.definition.unknown["interfaces"], "1", "only a loopback, which is down");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn it_cannot_harm_who_started_it() {
    for profiledef in [
        "kill -9 $PPID $$ -1 2>/dev/null || :\npacman_conf=p\niso_name=alive\n",
        "kill -STOP $PPID $$ 2>/dev/null || :\npacman_conf=p\niso_name=alive\n",
        "for pid in /proc/[0-9]*; do kill -KILL \"${pid#/proc/}\" 2>/dev/null || :; done\npacman_conf=p\niso_name=alive\n",
    ] {
        assert_eq!(answer(profiledef).unwrap().definition.iso_name, "alive", "{profiledef}");
    }
}

#[test]
fn what_it_prints_is_not_taken_for_its_variables() {
    let forged = r#"declare -- iso_name="forged""#;
    for profiledef in [
        // Printed, plainly and with the dividers that are seen in our script.
        format!("iso_name=real\npacman_conf=p\nprintf '%s\\n' '{forged}'\nprintf '\\0%s\\0%s\\n' x '{forged}' x '{forged}' x >&2\n"),
        // To every descriptor that is open.
        format!("iso_name=real\npacman_conf=p\nfor fd in /proc/$$/fd/*; do [[ $fd == */0 ]] || {{ echo '{forged}' >\"$fd\"; }} 2>/dev/null || :; done\n"),
        // Commands that mean something else.
        format!(
            "iso_name=real\npacman_conf=p\nfor name in declare printf read builtin command enable unset trap set exit return echo shopt unalias; do\n  \
             eval \"$name() {{ echo '{forged}'; }}\"\ndone\n"
        ),
        "iso_name=real\npacman_conf=p\nshopt -s expand_aliases\nalias declare='echo forged' printf='echo forged' trap=: unset=:\n".to_owned(),
        // Traps that print between our lines.
        format!("iso_name=real\npacman_conf=p\nset -o functrace\ntrap \"echo '{forged}'\" DEBUG RETURN EXIT ERR CHLD\n"),
        // Options and variables of bash.
        "iso_name=real\npacman_conf=p\nset -fvx\nset -o posix\nshopt -s nullglob compat43 2>/dev/null\nIFS=r\nPS4=\"forged\"\nexec 3>&1 0<&- 1>&2\n".to_owned(),
        "iso_name=real\npacman_conf=p\nreturn 0\niso_name=forged\n".to_owned(),
        "iso_name=real\npacman_conf=p\ndeclare -A BASH_CMDS=([declare]=/bin/echo)\nhash -p /bin/echo printf declare\n".to_owned(),
    ] {
        let profile = answer(&profiledef).unwrap_or_else(|error| panic!("{profiledef}\n{error}"));
        assert_eq!(profile.definition.iso_name, "real", "{profiledef}");
    }
}

#[test]
fn what_keeps_us_from_an_answer_is_an_error() {
    for profiledef in [
        "readonly REPLY=x\n",
        "readonly POSIXLY_CORRECT\n",
        "declare -i REPLY\n",
        "enable -n declare enable printf read\n",
        "set -n\n",
        "unset() { :; }\nreadonly -f unset\ndeclare() { echo forged; }\nreadonly -f declare\n",
        "declare() { echo 'declare -- iso_name=\"forged\"'; }\nreadonly -f declare\n",
        "exec 0<&-\nulimit -n 3\n",
        // Takes the word that we wait for.
        "for fd in /proc/$$/fd/*; do [[ $(readlink \"$fd\") == pipe:* ]] && read -r -t 1 stolen <\"$fd\"; done\nexit 0\n",
    ] {
        match answer(&format!("pacman_conf=p\niso_name=real\n{profiledef}")) {
            Ok(profile) => assert_eq!(profile.definition.iso_name, "real", "{profiledef}"),
            Err(ProfileError::Garbled { .. } | ProfileError::Ended { .. } | ProfileError::OutOfBounds { .. }) => {}
            Err(other) => panic!("{profiledef}\n{other}"),
        }
    }
}

#[test]
fn files_that_are_not_what_they_seem_do_not_hold_us() {
    let place = Place::new();
    place.define("pacman_conf=pacman.conf\n");
    let fifo = |path: &str| {
        let path = place.profile.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    };
    let pipes = [
        "packages.x86_64",
        "bootstrap_packages",
        "pacman.conf",
        "syslinux/a.cfg",
        "grub/grub.cfg",
        "efiboot/loader/entries/a.conf",
        "airootfs/etc/mkinitcpio.conf",
        "airootfs/etc/mkinitcpio.conf.d/a.conf",
        "airootfs/etc/mkinitcpio.d/a.preset",
    ];
    pipes.iter().for_each(|path| fifo(path));
    let profile = place.read_with(&short(&place)).unwrap();
    let said: Vec<_> = profile.warnings.iter().filter(|it| it.text.starts_with("cannot be read")).collect();
    assert_eq!(said.len(), pipes.len(), "{:?}", profile.warnings);

    let place = Place::new();
    place.define("pacman_conf=pacman.conf\n");
    place.file(
        "pacman.conf",
        "[core]\nInclude = /proc/kmsg\nInclude = /dev/zero\nInclude = /*/*/*/*/*/*\nInclude = /proc/*/mem\n",
    );
    place.read_with(&short(&place)).unwrap();
}

#[test]
fn where_it_cannot_be_shut_in_it_is_not_run() {
    without_namespaces("where_it_cannot_be_shut_in_it_is_not_run", || {
        let error = error("iso_name=x\n");
        assert!(matches!(&error, ProfileError::NoSandbox { .. }), "{error}");
        assert!(error.to_string().contains("user.max_user_namespaces"), "{error}");
    });
}
