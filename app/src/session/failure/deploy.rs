//! Failures of writing an image to a disk.

use isoprep::deploy::{DeployError, OpenError};

use super::exit_code;
use crate::session::event::Failure;

/// An image was not written to a disk, or not proven.
pub(in crate::session) fn of_deploy(error: &DeployError) -> Failure {
    let title = match error {
        DeployError::Cancelled { touched: true } => "Cancelled: the disk is now not bootable",
        DeployError::Cancelled { touched: false } => "Cancelled",
        DeployError::Pulled { .. } => "The disk was pulled out while it was being written to",
        DeployError::Differs { .. } | DeployError::Read { .. } => "The disk does not keep what is written to it",
        DeployError::Write { .. } => "The disk could not be written to",
        DeployError::ImageChanged { .. } | DeployError::ImageRead { .. } => "The image could not be written whole",
        DeployError::Before(_) => "The image could not be read: nothing was written",
        DeployError::Image { .. } | DeployError::NotAnImage { .. } => "The image cannot be written to a disk",
        DeployError::Open(OpenError::Refused { .. }) => "This disk is not written to",
        DeployError::Open(_) | DeployError::NoWay { .. } | DeployError::Declined { .. } => {
            "The disk could not be opened"
        }
    };
    let exit_code = match error {
        DeployError::Image { .. } | DeployError::NotAnImage { .. } => exit_code::USAGE,
        DeployError::Open(OpenError::Refused { .. } | OpenError::Another(_) | OpenError::Gone(_)) => exit_code::USAGE,
        DeployError::NoWay { .. } => exit_code::HOST,
        DeployError::Cancelled { .. } | DeployError::Declined { .. } => exit_code::CANCELLED,
        _ => exit_code::DEPLOY,
    };
    Failure {
        title: title.into(),
        detail: error.to_string(),
        advice: Some(error.advice()),
        command: None,
        pane: None,
        exit_code,
    }
}

/// There is nothing to be written.
pub(in crate::session) fn no_built_image() -> Failure {
    Failure {
        title: "There is no image".into(),
        detail: "the last build's image is not there any more, or nothing was built yet".into(),
        advice: Some("Build first".into()),
        command: None,
        pane: None,
        exit_code: exit_code::CARTRIDGE,
    }
}

/// The disks of this host cannot be seen.
pub(in crate::session) fn of_disks(error: &std::io::Error) -> Failure {
    Failure { exit_code: exit_code::HOST, ..super::internal("The disks of this host cannot be seen", error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_was_touched_is_said_to_be_not_bootable() {
        let pulled = of_deploy(&DeployError::Pulled { name: "sdb".into(), written: 1_500_000 });
        assert!(pulled.title.contains("pulled out") && pulled.detail.contains("1.5 MB"), "{pulled:?}");
        assert!(pulled.advice.as_ref().unwrap().contains("now not bootable"), "{pulled:?}");
        assert_eq!(pulled.exit_code, exit_code::DEPLOY);
        let cancelled = of_deploy(&DeployError::Cancelled { touched: false });
        assert!(!format!("{cancelled:?}").contains("not bootable"), "{cancelled:?}");
        assert_eq!(cancelled.exit_code, exit_code::CANCELLED);
        let another = of_deploy(&DeployError::Open(OpenError::Another("sdb".into())));
        assert_eq!(another.exit_code, exit_code::USAGE);
    }
}
