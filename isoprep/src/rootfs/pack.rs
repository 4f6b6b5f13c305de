//! How a root file system becomes one file: pure command lines. Dev builds want speed, release builds what the profile says.

use std::path::Path;

use cartridge_supervise::CommandLine;

use super::Script;
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
            let line = line.arg(root).arg(target).args(["-noappend", "-no-progress", "-quiet", "-comp", "lz4"]);
            // Looking for what is there twice, and for tails to put together, takes longer than writing it.
            line.args(["-b", "256K", "-no-duplicates", "-no-fragments"])
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

/// Takes out of the folder `root` what is younger than the image.
pub(crate) fn clamp_times(root: &Path, epoch: u64) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("epoch", epoch.to_string());
    script.text("find \"$root\" -xdev -newermt \"@$epoch\" -exec touch -hd \"@$epoch\" -- {} +");
    script
}

/// Sets the times that mkfs.ext4 copies from this host's own inodes, of all inodes that are not free (dumpe2fs(8),
/// debugfs(8)): when they were changed, read and made is nobody's choice.
pub(crate) fn ext4_times(image: &Path, epoch: u64) -> Script {
    let mut script = Script::new();
    script.set("image", image).set("epoch", epoch.to_string()).text(EXT4_TIMES);
    script
}

const EXT4_TIMES: &str = r#"dumpe2fs -- "$image" 2>/dev/null | awk -v epoch="$epoch" '
    function used(from, to,    n, f) {
        # The first ten but the root are the file system'"'"'s own.
        for (n = from; n <= to; n++) if (n == 2 || n > 10)
            for (f = 1; f <= 3; f++) print "set_inode_field <" n "> " fields[f] " @" epoch
    }
    BEGIN { split("atime ctime crtime", fields) }
    /^Inodes per group:/ { per = $NF }
    /^Group [0-9]+:/ { group = $2 + 0 }
    /^  Free inodes:/ {
        from = group * per + 1
        count = split(substr($0, index($0, ":") + 1), ranges, /[ ,]+/)
        for (i = 1; i <= count; i++) if (ranges[i] != "") {
            last = split(ranges[i], ends, "-"); used(from, ends[1] - 1); from = ends[last] + 1
        }
        used(from, (group + 1) * per)
    }' >"$image.times"
E2FSPROGS_FAKE_TIME=$epoch debugfs -w -f "$image.times" "$image" >/dev/null
rm -f -- "$image.times""#;

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
