//! Which way mkarchiso is run. It insists on being root; these are the ways to be as much of root as it needs, best
//! first:
//!
//! 1. root of a user namespace, with ids lent to this user: nothing to ask, nothing to install;
//! 2. a rootless podman container of an image that has archiso;
//! 3. a helper that polkit guards: an administrator's password, and files that root makes;
//! 4. a user namespace with a single id: it works, but every file of the image belongs to root.
//!
//! Pure: [`choose`] decides from [`Facts`], which [`look_around`](super::look_around) gathers.

use std::fmt;
use std::path::PathBuf;

use cartridge_supervise::IdMap;
use serde::{Deserialize, Serialize};

/// A way to run mkarchiso.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In a user namespace, with as many ids as packages need.
    Namespace,
    /// In a rootless podman container.
    Podman,
    /// By the helper that polkit guards.
    Helper,
    /// In a user namespace in which there is no user but root.
    NamespaceOfOne,
}

impl Way {
    /// All of them, best first.
    pub const ALL: [Self; 4] = [Self::Namespace, Self::Podman, Self::Helper, Self::NamespaceOfOne];

    fn words(self) -> &'static str {
        match self {
            Self::Namespace => "in a user namespace, without root",
            Self::Podman => "in a podman container, without root",
            Self::Helper => "by the helper that asks for an administrator's password",
            Self::NamespaceOfOne => "in a user namespace where every file belongs to root",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// What this host offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The installed mkarchiso.
    pub tool: Option<PathBuf>,
    /// Programs that it cannot do without and that are not in `PATH`.
    pub missing: Vec<String>,
    /// Whether user namespaces work here.
    pub namespaces: NamespaceFact,
    /// Whether podman works here.
    pub podman: PodmanFact,
    /// Whether the helper works here.
    pub helper: HelperFact,
}

/// Whether user namespaces work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceFact {
    /// They do, with these ids inside.
    Work(IdMap),
    /// They do not.
    Refused {
        /// What the system said, and the setting that forbids it.
        why: String,
        /// Whether root may make none either, so that the helper would fail too.
        for_root_too: bool,
    },
}

/// Whether podman works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodmanFact {
    /// Nobody looked, because a better way works.
    NotLookedAt,
    /// It is not installed.
    Absent,
    /// There is no image of that name on this machine.
    NoImage {
        /// The image's name.
        image: String,
    },
    /// It cannot run a container of that image, or the image lacks something.
    Broken {
        /// The image's name.
        image: String,
        /// What podman said.
        why: String,
    },
    /// It runs that image.
    Ready {
        /// The image's name.
        image: String,
    },
}

/// Whether the helper works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperFact {
    /// It is not installed: Cartridge was not installed as a package.
    Absent,
    /// Somebody other than root could change it.
    NotRoots,
    /// There is no `pkexec`.
    NoPkexec,
    /// It is there.
    Ready,
}

/// The way that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Which.
    pub way: Way,
    /// What had to be known about it: an image's name.
    pub with: Option<String>,
    /// The better ways, and why they do not work, best first.
    pub why_not: Vec<(Way, String)>,
    /// What is worse about this way, where something is.
    pub but: Option<String>,
}

impl Chosen {
    /// The sentences to show: which way is taken, what is worse about it, why no better one.
    #[must_use]
    pub fn sentence(&self) -> String {
        let with = self.with.as_ref().map_or(String::new(), |it| format!(" ({it})"));
        let mut text = format!("mkarchiso runs {}{with}.", self.way);
        if let Some(but) = &self.but {
            text.push_str(&format!(" {but}"));
        }
        for (way, why) in &self.why_not {
            text.push_str(&format!("\nNot {way}: {why}"));
        }
        text
    }
}

/// mkarchiso cannot be run at all here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mkarchiso cannot be run here:{}\n  The engine \"archiso\" builds the same profile without it.", listed(.why_not))]
pub struct NoWay {
    /// Every way, and why it does not work, best first.
    pub why_not: Vec<(Way, String)>,
    /// What would open the nearest one.
    pub mend: Mend,
}

/// What would let mkarchiso run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Installing it, with programs that it needs, where the distribution has it.
    Install {
        /// The programs that are missing.
        programs: Vec<String>,
        /// The command that makes the container's image, for hosts whose distribution does not have it.
        container: String,
        /// Whether podman has to be installed first.
        podman: bool,
    },
    /// User namespaces, or podman, work otherwise than they should: the reasons say how.
    Reasons,
}

/// The command that makes a container's image with archiso in it.
fn make_image(image: &str) -> String {
    format!(
        "podman run --name archiso docker.io/library/archlinux pacman -Sy --noconfirm archiso && podman commit archiso \
         {image} && podman rm archiso"
    )
}

fn mend(facts: &Facts) -> Mend {
    let image = match &facts.podman {
        PodmanFact::NoImage { image } | PodmanFact::Broken { image, .. } | PodmanFact::Ready { image } => image,
        PodmanFact::NotLookedAt | PodmanFact::Absent => super::CONTAINER,
    };
    let programs = if facts.tool.is_none() { vec!["mkarchiso".to_owned()] } else { facts.missing.clone() };
    if programs.is_empty() || matches!(facts.podman, PodmanFact::Broken { .. }) {
        return Mend::Reasons;
    }
    let podman = matches!(facts.podman, PodmanFact::Absent | PodmanFact::NotLookedAt);
    Mend::Install { programs, container: make_image(image), podman }
}

fn listed(why_not: &[(Way, String)]) -> String {
    why_not.iter().map(|(way, why)| format!("\n  Not {way}: {why}")).collect()
}

/// The best way that works.
///
/// # Errors
/// [`NoWay`] with a reason for each when none does.
pub fn choose(facts: &Facts) -> Result<Chosen, NoWay> {
    let mut why_not = Vec::new();
    for way in Way::ALL {
        match refusal(way, facts) {
            Some(why) => why_not.push((way, why)),
            None => {
                let with = match (&facts.podman, way) {
                    (PodmanFact::Ready { image }, Way::Podman) => Some(image.clone()),
                    _ => None,
                };
                return Ok(Chosen { way, with, why_not, but: drawback(way) });
            }
        }
    }
    Err(NoWay { why_not, mend: mend(facts) })
}

fn drawback(way: Way) -> Option<String> {
    let text = match way {
        Way::Namespace | Way::Podman => return None,
        Way::Helper => "An administrator's password is asked for, once for each build.",
        Way::NamespaceOfOne => "Files that a package gives to another user will belong to root in the image.",
    };
    Some(text.to_owned())
}

/// Why a way does not work; `None` if it does.
fn refusal(way: Way, facts: &Facts) -> Option<String> {
    match way {
        Way::Namespace => installed(facts).or_else(|| match &facts.namespaces {
            NamespaceFact::Work(IdMap::Single { why }) => Some(why.clone()),
            NamespaceFact::Work(_) => None,
            NamespaceFact::Refused { why, .. } => Some(why.clone()),
        }),
        Way::NamespaceOfOne => installed(facts).or_else(|| match &facts.namespaces {
            NamespaceFact::Work(_) => None,
            NamespaceFact::Refused { .. } => Some("user namespaces do not work, as said above".to_owned()),
        }),
        Way::Podman => match &facts.podman {
            PodmanFact::Ready { .. } => None,
            PodmanFact::NotLookedAt => Some("nobody looked whether it works".to_owned()),
            PodmanFact::Absent => Some("podman is not installed".to_owned()),
            PodmanFact::NoImage { image } => {
                Some(format!("there is no image {image}; make one: {}", make_image(image)))
            }
            PodmanFact::Broken { image, why } => Some(format!("podman does not run {image}: {why}")),
        },
        Way::Helper => installed(facts).or_else(|| match (facts.helper, &facts.namespaces) {
            (HelperFact::Absent, _) => {
                Some("the helper is not installed; it comes with Cartridge's packages".to_owned())
            }
            (HelperFact::NotRoots, _) => {
                Some("the helper that is installed could be changed by others than root: it is not trusted".to_owned())
            }
            (HelperFact::NoPkexec, _) => Some("pkexec is not installed (package pkexec, or polkit)".to_owned()),
            (HelperFact::Ready, NamespaceFact::Refused { for_root_too: true, why }) => {
                Some(format!("it needs namespaces too, which nobody may make here: {why}"))
            }
            (HelperFact::Ready, _) => None,
        }),
    }
}

/// Why the installed tool cannot be run, whatever the way.
fn installed(facts: &Facts) -> Option<String> {
    if facts.tool.is_none() {
        return Some("mkarchiso is not installed (package archiso on Arch Linux)".to_owned());
    }
    (!facts.missing.is_empty())
        .then(|| format!("mkarchiso needs programs that are missing: {}", facts.missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use cartridge_supervise::IdRange;

    use super::*;

    fn many() -> NamespaceFact {
        let range = vec![IdRange { inside: 0, outside: 1000, count: 1 }];
        NamespaceFact::Work(IdMap::Lent { users: range.clone(), groups: range })
    }

    fn one() -> NamespaceFact {
        NamespaceFact::Work(IdMap::Single { why: "/etc/subuid lends no ids to this user".to_owned() })
    }

    fn refused(for_root_too: bool) -> NamespaceFact {
        NamespaceFact::Refused { why: "AppArmor forbids it".to_owned(), for_root_too }
    }

    fn facts(namespaces: NamespaceFact, podman: PodmanFact, helper: HelperFact) -> Facts {
        Facts { tool: Some("/usr/bin/mkarchiso".into()), missing: Vec::new(), namespaces, podman, helper }
    }

    fn ready() -> PodmanFact {
        PodmanFact::Ready { image: "archiso".to_owned() }
    }

    #[test]
    fn the_best_that_works_is_taken_and_each_better_one_has_its_reason() {
        let cases = [
            (many(), ready(), HelperFact::Ready, Way::Namespace),
            (one(), ready(), HelperFact::Ready, Way::Podman),
            (one(), PodmanFact::Absent, HelperFact::Ready, Way::Helper),
            (one(), PodmanFact::Absent, HelperFact::NoPkexec, Way::NamespaceOfOne),
            (refused(false), ready(), HelperFact::Absent, Way::Podman),
            (refused(false), PodmanFact::Absent, HelperFact::Ready, Way::Helper),
        ];
        for (namespaces, podman, helper, wanted) in cases {
            let chosen = choose(&facts(namespaces, podman, helper)).unwrap();
            assert_eq!(chosen.way, wanted);
            let better: Vec<Way> = Way::ALL.into_iter().filter(|way| *way < wanted).collect();
            assert_eq!(chosen.why_not.iter().map(|it| it.0).collect::<Vec<_>>(), better);
        }
    }

    #[test]
    fn the_sentence_says_it_all() {
        let chosen = choose(&facts(refused(false), ready(), HelperFact::Absent)).unwrap();
        assert_eq!(
            chosen.sentence(),
            "mkarchiso runs in a podman container, without root (archiso).\n\
             Not in a user namespace, without root: AppArmor forbids it"
        );
    }

    #[test]
    fn without_the_tool_only_a_container_will_do() {
        let mut bare = facts(many(), ready(), HelperFact::Ready);
        bare.tool = None;
        assert_eq!(choose(&bare).unwrap().way, Way::Podman);
        bare.podman = PodmanFact::NoImage { image: "archiso".to_owned() };
        let text = choose(&bare).unwrap_err().to_string();
        assert!(text.contains("not installed (package archiso") && text.contains("podman commit"), "{text}");
        let Mend::Install { programs, container, podman: false } = choose(&bare).unwrap_err().mend else {
            panic!("installing it, or making that image, is what mends it")
        };
        assert_eq!(programs, ["mkarchiso"]);
        assert!(container.starts_with("podman run ") && container.ends_with("podman rm archiso"), "{container}");
    }

    #[test]
    fn where_nobody_may_make_namespaces_the_helper_may_not_either() {
        assert_eq!(choose(&facts(refused(true), PodmanFact::Absent, HelperFact::Ready)).unwrap_err().why_not.len(), 4);
    }

    #[test]
    fn a_missing_companion_is_named() {
        let mut bare = facts(many(), PodmanFact::Absent, HelperFact::Ready);
        bare.missing = vec!["pacstrap".to_owned()];
        assert!(choose(&bare).unwrap_err().to_string().contains("missing: pacstrap"));
    }
}
