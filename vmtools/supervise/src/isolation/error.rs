//! Why a child could not be isolated: the step that failed, what the system said, and which setting of the host does it.

use std::fmt;
use std::io;

/// The steps of entering, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// unshare(2).
    Namespaces = 1,
    /// Writing the id maps.
    Ids,
    /// Making the mounts private.
    Private,
    /// Taking hold of what is shown or written.
    Hold,
    /// Making everything read-only.
    ReadOnly,
    /// Becoming root inside.
    Root,
    /// Mounting a private directory.
    Tmpfs,
    /// Putting what is shown or written in its place.
    Place,
    /// Making `/dev`.
    Devices,
    /// Starting the first process of the inner namespaces.
    Fork,
    /// Mounting `/proc`.
    Proc,
    /// Mounting inside a root file system.
    Prepare,
    /// Changing the root or the working directory.
    Chroot,
    /// Making the inner namespaces, in which all of that is locked.
    Lock,
    /// Leaving the session of whoever started us.
    Session,
    /// Setting limits.
    Limits,
    /// Giving capabilities up.
    Capabilities,
}

impl Step {
    const ALL: [Self; 17] = [
        Self::Namespaces,
        Self::Ids,
        Self::Private,
        Self::Hold,
        Self::ReadOnly,
        Self::Root,
        Self::Tmpfs,
        Self::Place,
        Self::Devices,
        Self::Fork,
        Self::Proc,
        Self::Prepare,
        Self::Chroot,
        Self::Lock,
        Self::Session,
        Self::Limits,
        Self::Capabilities,
    ];

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == number)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Namespaces => "make namespaces",
            Self::Ids => "map user and group ids",
            Self::Root => "become root in the namespace",
            Self::Fork => "start a process in the namespace",
            Self::Private => "make its mounts private",
            Self::Hold => "take hold of a folder that it sees",
            Self::ReadOnly => "make the file system read-only",
            Self::Tmpfs => "mount a private folder",
            Self::Place => "mount a folder in its place",
            Self::Devices => "make its /dev",
            Self::Proc => "mount its /proc",
            Self::Prepare => "mount proc, sys and dev inside the root file system",
            Self::Chroot => "change its root or working folder",
            Self::Lock => "lock what it sees",
            Self::Session => "leave the session of its terminal",
            Self::Limits => "set its limits",
            Self::Capabilities => "give up its capabilities",
        }
    }
}

/// A child could not be isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationError {
    /// Where it stopped, if it got that far.
    pub step: Option<Step>,
    /// What it was about: a path, or nothing.
    pub about: String,
    /// What the system said.
    pub said: String,
    /// The setting that forbids it and how to change it, where that is known.
    pub advice: Option<String>,
}

impl IsolationError {
    pub(crate) fn other(said: String) -> Self {
        Self { step: None, about: String::new(), said, advice: None }
    }

    pub(super) fn at(step: Step, about: &str, errno: i32) -> Self {
        let said = io::Error::from_raw_os_error(errno).to_string();
        Self { step: Some(step), about: about.to_owned(), said, advice: why(step, errno, &Settings::of_this_host()) }
    }
}

impl fmt::Display for IsolationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = self.step.map_or("isolate the process", Step::words);
        write!(f, "could not {doing}")?;
        if !self.about.is_empty() {
            write!(f, " ({})", self.about)?;
        }
        write!(f, ": {}", self.said)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for IsolationError {}

/// What the host says about user namespaces: the content of files below `/proc/sys`, trimmed.
#[derive(Clone, Debug, Default)]
struct Settings {
    /// `user/max_user_namespaces`.
    most: Option<String>,
    /// `kernel/unprivileged_userns_clone`, Debian's own.
    clone: Option<String>,
    /// `kernel/apparmor_restrict_unprivileged_userns`, Ubuntu's own.
    apparmor: Option<String>,
}

impl Settings {
    fn of_this_host() -> Self {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).ok().map(|it| it.trim().to_owned());
        Self {
            most: read("user/max_user_namespaces"),
            clone: read("kernel/unprivileged_userns_clone"),
            apparmor: read("kernel/apparmor_restrict_unprivileged_userns"),
        }
    }
}

fn why(step: Step, errno: i32, settings: &Settings) -> Option<String> {
    let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
    let set = |name: &str, value: &str| {
        format!(
            "The setting {name} forbids it. Change it: sudo sysctl -w {name}={value} (and keep it in /etc/sysctl.d)"
        )
    };
    if !matches!(errno, libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::EINVAL | libc::ENOSYS) {
        return None;
    }
    if is(&settings.most, "0") {
        return Some(set("user.max_user_namespaces", "15000"));
    }
    if is(&settings.clone, "0") {
        return Some(set("kernel.unprivileged_userns_clone", "1"));
    }
    if is(&settings.apparmor, "1") && matches!(errno, libc::EPERM | libc::EACCES) {
        return Some(set("kernel.apparmor_restrict_unprivileged_userns", "0"));
    }
    match (step, errno) {
        (Step::Namespaces, libc::ENOSPC | libc::EUSERS) => {
            Some("Too many namespaces exist, or they are nested too deeply: see user.max_user_namespaces.".to_owned())
        }
        (Step::Namespaces, libc::EPERM | libc::ENOSYS) => Some(
            "User namespaces are forbidden here: inside a container it was started without them, or the root folder was \
             changed by chroot."
                .to_owned(),
        ),
        (Step::Hold | Step::ReadOnly, libc::ENOSYS) => Some("It needs Linux 5.12 or newer.".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_it_is_named() {
        let of = |most: &str, clone: &str, apparmor: &str| {
            let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
            Settings { most: some(most), clone: some(clone), apparmor: some(apparmor) }
        };
        let says = |settings: &Settings, errno| why(Step::Namespaces, errno, settings).unwrap_or_default();
        assert!(says(&of("0", "1", ""), libc::ENOSPC).contains("user.max_user_namespaces=15000"));
        assert!(says(&of("9", "0", ""), libc::EPERM).contains("unprivileged_userns_clone=1"));
        assert!(why(Step::ReadOnly, libc::EPERM, &of("9", "", "1")).unwrap().contains("apparmor_restrict"));
        assert!(says(&of("9", "1", "0"), libc::EPERM).contains("container"));
        assert_eq!(why(Step::Place, libc::ENOENT, &Settings::default()), None);
    }

    #[test]
    fn every_step_has_its_number() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(Step::of(u8::try_from(index).unwrap() + 1), Some(step));
        }
        assert_eq!((Step::of(0), Step::of(18)), (None, None));
    }
}
