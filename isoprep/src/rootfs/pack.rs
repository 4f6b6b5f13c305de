//! How a root file system becomes one file: pure command lines. Dev builds want speed, release builds what the profile says.

use std::path::Path;

use cartridge_supervise::CommandLine;

use crate::profile::ImageType;

/// How to pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// squashfs with zstd 3: 24 times quicker than zstd 15, a fifth larger.
    Quick,
    /// squashfs with LZ4, for a root that will be packed again: as quick as it gets.
    Passing,
    /// What a profile asks for.
    Profile { kind: ImageType, options: Vec<String> },
}

/// The name of the packed file.
pub(crate) fn packed_name(packing: &Packing) -> &'static str {
    match packing {
        Packing::Profile { kind: ImageType::Erofs, .. } => "airootfs.erofs",
        _ => "airootfs.sfs",
    }
}

/// The command that packs the folder `root` into `target` with the program `tool` (mksquashfs or mkfs.erofs). Both take
/// `SOURCE_DATE_EPOCH` for the time of the file system and of what is younger (mksquashfs(1)); mkfs.erofs is told.
pub(crate) fn pack_command(tool: &Path, packing: &Packing, root: &Path, target: &Path, epoch: u64) -> CommandLine {
    let line = CommandLine::new(tool);
    match packing {
        Packing::Quick => {
            let line = line.arg(root).arg(target).args(["-noappend", "-no-progress", "-quiet"]);
            line.args(["-comp", "zstd", "-Xcompression-level", "3", "-b", "256K"])
        }
        Packing::Passing => {
            line.arg(root).arg(target).args(["-noappend", "-no-progress", "-quiet", "-comp", "lz4", "-b", "256K"])
        }
        Packing::Profile { kind: ImageType::Erofs, options } => {
            let line =
                line.args(["--quiet", "-U", "00000000-0000-0000-0000-000000000000", "-T"]).arg(epoch.to_string());
            line.args(options).arg("--").arg(target).arg(root)
        }
        Packing::Profile { options, .. } => {
            line.arg(root).arg(target).args(["-noappend", "-no-progress", "-quiet"]).args(options)
        }
    }
}

/// The command that puts the folder `root` into a file system of 32 GiB in a sparse file, as archiso's `ext4+squashfs` has
/// it: no journal, nothing that differs from run to run (mke2fs(8)). Its hash seed is made of the time, as are all dates.
pub(crate) fn ext4_command(tool: &Path, root: &Path, target: &Path, epoch: u64) -> CommandLine {
    let hash = blake3::hash(format!("{epoch} ext4 hash seed").as_bytes()).to_hex();
    let seed = format!("{}-{}-5{}-8{}-{}", &hash[..8], &hash[8..12], &hash[12..15], &hash[15..18], &hash[18..30]);
    let line = CommandLine::new(tool).arg("-d").arg(root).args(["-q", "-F", "-m", "0", "-U", "clear"]);
    let line = line.args(["-O", "^has_journal,^resize_inode", "-E"]);
    let line = line.arg(format!("lazy_itable_init=0,root_owner=0:0,hash_seed={seed}"));
    line.arg("--").arg(target).arg("32G").env("E2FSPROGS_FAKE_TIME", epoch.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_packs_with_its_own_options() {
        let show =
            |packing: &Packing| pack_command(Path::new("t"), packing, Path::new("/r"), Path::new("/o"), 7).to_string();
        assert!(show(&Packing::Quick).contains("-comp zstd -Xcompression-level 3"));
        let options = vec!["-comp".to_owned(), "xz".to_owned()];
        let squashfs = Packing::Profile { kind: ImageType::Squashfs, options: options.clone() };
        assert_eq!(show(&squashfs), "t /r /o -noappend -no-progress -quiet -comp xz");
        let erofs = Packing::Profile { kind: ImageType::Erofs, options: vec!["-zlz4hc".to_owned()] };
        assert_eq!(packed_name(&erofs), "airootfs.erofs");
        assert!(show(&erofs).ends_with("-T 7 -zlz4hc -- /o /r"));
    }
}
