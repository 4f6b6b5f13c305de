//! Who opens the disk. We ourselves where we may: then nobody is asked. Else udisks2, which asks polkit; else the helper, for which
//! pkexec asks. All hand over a descriptor, and all that is done with it afterwards is done here, by an ordinary process.

use std::os::fd::OwnedFd;

use cartridge_disks::{OpenError, Tree};
use serde::Serialize;

use super::error::DeployError;
use super::{DeployRequest, helper, udisks};
use crate::Cancel;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// This process: it is root's, or its user may write to the disk.
    Directly,
    /// The desktop's daemon for disks, over D-Bus.
    Udisks,
    /// The helper that the packages install, started by pkexec.
    Helper,
}

impl Way {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Directly, Self::Udisks, Self::Helper];
}

/// Why one of them has not opened it.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// It is not there, or may not: another one is tried. In words.
    Unavailable(String),
    /// The user has said no: nobody else is asked.
    Declined,
    /// Nobody waits for it any more.
    Cancelled,
    /// It was refused, and would be by everybody.
    Refused(OpenError),
}

/// Opens the disk, and says who has done it.
pub(super) fn open(
    request: &DeployRequest,
    needed: u64,
    tree: &Tree,
    cancel: &Cancel,
) -> Result<(OwnedFd, Way), DeployError> {
    let name = || request.disk.name.clone();
    let mut said = Vec::new();
    for way in &request.ways {
        let opened = match way {
            Way::Directly => match cartridge_disks::open(tree, &request.disk, needed, request.policy) {
                Err(OpenError::Denied { source, .. }) => Err(NotOpened::Unavailable(format!("by this user: {source}"))),
                Err(refused) => Err(NotOpened::Refused(refused)),
                Ok(fd) => Ok(fd),
            },
            // It is not for others to find out what is refused here, nor to ask anybody about it.
            Way::Udisks | Way::Helper => {
                cartridge_disks::acceptable(tree, &request.disk, needed, request.policy)?;
                match way {
                    Way::Udisks => udisks::open(&request.disk, cancel),
                    _ => helper::open(&request.disk, needed, cancel),
                }
            }
        };
        match opened {
            Ok(fd) => return Ok((fd, *way)),
            Err(NotOpened::Unavailable(why)) => said.push(why),
            Err(NotOpened::Declined) => return Err(DeployError::Declined { name: name() }),
            Err(NotOpened::Cancelled) => return Err(DeployError::Cancelled { touched: false }),
            Err(NotOpened::Refused(refused)) => return Err(refused.into()),
        }
    }
    Err(DeployError::NoWay { name: name(), said })
}
