//! Every way in which a build can fail, for people: what happened, and what to do next.

use cartridge_supervise::{IsolationError, RunError, SpawnError};
use isoprep::BuildError;
use isoprep::lint::{LintFinding, Severity, render_text};
use isoprep::mkarchiso::MkarchisoError;
use isoprep::pacman_log::LogFinding;
use isoprep::profile::ProfileError;

use super::{exit_code, of_isolation, split_command};
use crate::session::event::Failure;
use crate::session::logs::Pane;

/// What a person is shown of `error`.
pub(in crate::session) fn of_build(error: &BuildError) -> Failure {
    if let Some(isolation) = isolation(error) {
        return of_isolation(isolation);
    }
    let (detail, command) = split_command(&error.to_string());
    let stage = error.stage();
    let title = stage.map_or_else(
        || "The build could not begin".to_owned(),
        |stage| format!("The build stopped in stage {}", stage.0),
    );
    let plain = Failure { title, detail, advice: None, command, pane: Some(Pane::Build), exit_code: exit_code::BUILD };
    match error {
        BuildError::Cancelled { .. } => {
            Failure { title: "The build was cancelled".into(), pane: None, exit_code: exit_code::CANCELLED, ..plain }
        }
        BuildError::Packages { finding, .. } => of_finding(finding, "pacman", plain),
        BuildError::Lint { findings, .. } => {
            let errors: Vec<LintFinding> =
                findings.iter().filter(|it| it.severity == Severity::Error).cloned().collect();
            Failure {
                title: "The build would fail: the lint has found errors".into(),
                detail: render_text(&errors, false).trim_end().to_owned(),
                advice: Some("Correct them, or build anyway (without a window: --no-lint)".into()),
                command: Some("cartridge lint".into()),
                pane: None,
                exit_code: exit_code::CARTRIDGE,
            }
        }
        BuildError::Mkarchiso { source, .. } => of_mkarchiso(source, plain),
        BuildError::Profile { source, .. } => Failure {
            title: "The archiso profile cannot be read".into(),
            detail: source.to_string(),
            exit_code: match **source {
                ProfileError::NoBash { .. } | ProfileError::NotStarted { .. } => exit_code::HOST,
                _ => exit_code::CARTRIDGE,
            },
            ..plain
        },
        BuildError::Assembly { source, .. } => Failure {
            title: "The archiso profile cannot be put together".into(),
            detail: source.to_string(),
            pane: None,
            exit_code: exit_code::CARTRIDGE,
            ..plain
        },
        BuildError::Missing { what, .. } => Failure {
            title: "This host lacks something that this image needs".into(),
            detail: what.clone(),
            advice: Some("Run the checks, each with the command that mends it".into()),
            command: Some("cartridge doctor".into()),
            pane: None,
            exit_code: exit_code::HOST,
        },
        BuildError::DiskFull { .. } => Failure {
            title: "There is no room left for the build".into(),
            detail: without_last_line(plain.detail),
            advice: Some(
                "Free some space there, or empty the cache; the image of the build before is as it was".into(),
            ),
            command: Some("cartridge cache --clean".into()),
            ..plain
        },
        BuildError::TooBig { advice: next, .. } | BuildError::Refused { advice: next, .. } => {
            Failure { detail: without_last_line(plain.detail), advice: advice(next), ..plain }
        }
        BuildError::Unreadable { .. } => Failure {
            title: "Files of the repository cannot be read".into(),
            detail: without_last_line(plain.detail),
            advice: Some("Change their permissions, or name them under source.exclude".into()),
            ..plain
        },
        BuildError::Changed { .. } => Failure {
            title: "The repository changed while it was built".into(),
            detail: without_last_line(plain.detail),
            advice: Some("Build again once it is at rest".into()),
            ..plain
        },
        _ => plain,
    }
}

/// The line of a tool's log that matters, with what it means.
fn of_finding(finding: &LogFinding, tool: &str, plain: Failure) -> Failure {
    let mut detail = format!("{}\nline {} of what {tool} printed: {}", finding.cause, finding.line, finding.text);
    for line in &finding.details {
        detail.push_str(&format!("\n  {line}"));
    }
    Failure { title: finding.title.clone(), detail, advice: advice(&finding.advice), ..plain }
}

fn of_mkarchiso(error: &MkarchisoError, plain: Failure) -> Failure {
    match error {
        MkarchisoError::Found { finding, .. } => of_finding(finding, "mkarchiso", plain),
        MkarchisoError::Start { .. } => {
            Failure { title: "mkarchiso could not be started".into(), exit_code: exit_code::HOST, ..plain }
        }
        MkarchisoError::NotAuthorized { said } => Failure {
            title: "The helper was not allowed to run mkarchiso".into(),
            detail: said.clone(),
            advice: Some("Give an administrator's password when you are asked, or lend ids to this user".into()),
            command: Some("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\"".into()),
            pane: None,
            exit_code: exit_code::HOST,
        },
        MkarchisoError::Unbootable(_) => {
            Failure { title: "mkarchiso left an image that would not boot".into(), ..plain }
        }
        _ => plain,
    }
}

/// What kept a step from being shut in, if that was it.
fn isolation(error: &BuildError) -> Option<&IsolationError> {
    match error {
        BuildError::Tool { source: RunError::Spawn(error), .. } => of_spawn(error),
        BuildError::Mkarchiso { source, .. } => match &**source {
            MkarchisoError::Start { source, .. } => of_spawn(source),
            _ => None,
        },
        BuildError::Profile { source, .. } => match &**source {
            ProfileError::NoSandbox { source, .. } => Some(source),
            ProfileError::NotStarted { source, .. } => of_spawn(source),
            _ => None,
        },
        _ => None,
    }
}

fn of_spawn(error: &SpawnError) -> Option<&IsolationError> {
    error.source.get_ref()?.downcast_ref()
}

fn advice(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Errors end with a line of advice, which people get apart.
fn without_last_line(text: String) -> String {
    match text.rsplit_once("\n  ") {
        Some((before, last)) if !last.contains('\n') => before.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use isoprep::engine::{ASSEMBLE, PACKAGES, SQUASH};
    use isoprep::pacman_log::{FaultKind, Weight};

    use super::*;

    #[test]
    fn what_pacman_said_is_title_detail_and_advice() {
        let text = "error: target not found: giit";
        let mut finding = LogFinding::new(FaultKind::PackageNotFound, Weight::Cause, (7, text), Some("giit".into()));
        finding.suggest(&["git".into()]);
        let command = "pacman -Sp giit".to_owned();
        let failure = of_build(&BuildError::Packages { stage: PACKAGES, finding: Box::new(finding), command });
        assert_eq!(failure.title, "There is no package \"giit\"");
        assert!(failure.detail.contains("line 7 of what pacman printed: error: target not found: giit"), "{failure:?}");
        assert!(failure.advice.unwrap().starts_with("Did you mean \"git\"?"));
        assert_eq!(failure.command.as_deref(), Some("pacman -Sp giit"));
        assert_eq!((failure.pane, failure.exit_code), (Some(Pane::Build), exit_code::BUILD));
    }

    #[test]
    fn each_kind_has_its_exit_code_and_says_what_next() {
        let full = BuildError::DiskFull { stage: SQUASH, path: "/c".into(), needed: 1 << 30, free: 1 << 20 };
        let failure = of_build(&full);
        assert_eq!(failure.exit_code, exit_code::BUILD);
        assert_eq!(failure.command.as_deref(), Some("cartridge cache --clean"));
        assert!(failure.detail.contains("1024 MiB needed") && !failure.detail.contains("Free some"), "{failure:?}");

        let missing = of_build(&BuildError::Missing { stage: SQUASH, what: "mkfs.erofs is not installed".into() });
        assert_eq!((missing.exit_code, missing.detail.as_str()), (exit_code::HOST, "mkfs.erofs is not installed"));

        let profile = ProfileError::NoDefinition { dir: "/p".into() };
        let failure = of_build(&BuildError::Profile { stage: ASSEMBLE, source: Box::new(profile) });
        assert_eq!(failure.exit_code, exit_code::CARTRIDGE);
        assert!(failure.detail.starts_with("/p has no profiledef.sh"), "{failure:?}");

        assert_eq!(of_build(&BuildError::Cancelled { stage: SQUASH }).exit_code, exit_code::CANCELLED);
        let refused = BuildError::Refused { stage: SQUASH, what: "no".into(), advice: "Say yes.".into() };
        let failure = of_build(&refused);
        assert_eq!((failure.detail.as_str(), failure.advice.as_deref()), ("squash: no", Some("Say yes.")));
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = of_build(&BuildError::Io { stage: SQUASH, doing: "read", path: "/x".into(), source });
        assert_eq!((failure.title.as_str(), failure.advice), ("The build stopped in stage squash", None));
    }

    #[test]
    fn a_setting_that_forbids_user_namespaces_is_named_with_the_command_that_changes_it() {
        let advice = "The setting user.max_user_namespaces forbids it. Change it: sudo sysctl -w \
                      user.max_user_namespaces=15000 (and keep it in /etc/sysctl.d)";
        let isolation =
            IsolationError { step: None, about: String::new(), said: "No space".into(), advice: Some(advice.into()) };
        let source = ProfileError::NoSandbox { file: "/p/profiledef.sh".into(), source: isolation.clone() };
        let failure = of_build(&BuildError::Profile { stage: ASSEMBLE, source: Box::new(source) });
        assert_eq!(failure.command.as_deref(), Some("sudo sysctl -w user.max_user_namespaces=15000"));
        assert_eq!(failure.exit_code, exit_code::HOST);
        assert_eq!(failure, of_isolation(&isolation));
        let unknown = of_isolation(&IsolationError { advice: None, ..isolation });
        assert_eq!(unknown.command.as_deref(), Some("cartridge doctor"));
    }
}
