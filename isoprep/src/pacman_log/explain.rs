//! The words for each kind of failure: a title, the probable cause, the advice.

use super::finding::FaultKind;

/// Title, cause and advice for a failure about `subject`.
pub(super) fn explain(kind: FaultKind, subject: Option<&str>) -> (String, String, String) {
    let it = |without: &str, with: &str| match subject {
        Some(subject) => with.replace("{}", subject),
        None => without.to_owned(),
    };
    let (title, cause, advice) = match kind {
        FaultKind::PackageNotFound => (
            it("A package was not found", "There is no package \"{}\""),
            "No repository of the pacman.conf has a package, group or provider of that name.",
            "Correct the name in the package list, or add the repository that has it to the pacman.conf.",
        ),
        FaultKind::Dependency => (
            it("A dependency cannot be satisfied", "The dependency \"{}\" cannot be satisfied"),
            "No repository has it in the version that is asked for: the databases may be of different days.",
            "Add the repository that has it, or take the package that needs it off the list.",
        ),
        FaultKind::PackageConflict => (
            it("Packages exclude one another", "Packages exclude one another: {}"),
            "Both are listed, or one is a dependency of something listed.",
            "Take one of them off the package list.",
        ),
        FaultKind::FileConflict => (
            it("A package's file is there already", "{} is there already"),
            "Two packages have the same file, or the profile's airootfs puts a file where a package has its own and \
             pacman was not told to overwrite it.",
            "Take one of the packages off the list, or the file out of the airootfs.",
        ),
        FaultKind::Download => (
            it("A file could not be fetched", "{} could not be fetched"),
            "The server is down, slow or does not have the file, or there is no network.",
            "Try again, or put another server first in the mirror list.",
        ),
        FaultKind::Signature => (
            it("A signature is not good", "The signature of {} is not good"),
            "The package or database is not signed by a key that the keyring trusts; the keyring may be missing, not \
             populated, or too old.",
            "Install or update the keyring of that repository, and run pacman-key --init and --populate where this host keeps keys. A \
             repository that nobody signs needs SigLevel = Never, or for its database alone DatabaseOptional, in its \
             section of the pacman.conf.",
        ),
        FaultKind::CorruptPackage => (
            it("A package is damaged", "{} is damaged"),
            "What was fetched is not what the repository promised: a broken download, or a stale cache.",
            "Build again; if it stays, remove the file from the package cache or use another server.",
        ),
        FaultKind::BadDatabase => (
            it("A repository's database is damaged", "The database {} is damaged"),
            "What the server sent is no package database: often a log-in page of the network, or an empty file.",
            "Look at the server's address in the pacman.conf, and try again.",
        ),
        FaultKind::DiskFull => (
            it("The disk is full", "{} is full"),
            "The file system of the work directory, the package cache or the output has no room left.",
            "Free some space there, or choose other directories. A releng build needs about 10 GiB.",
        ),
        FaultKind::Extract => (
            it("A package's file could not be written", "{} could not be written"),
            "Most often the file system is full; else the work directory is not writable for this user.",
            "Free some space in the work directory, and see that its file system keeps owners and links.",
        ),
        FaultKind::Locked => (
            "The package database is locked".to_owned(),
            "Another pacman works in the same root, or a killed one left its lock behind.",
            "Build in a fresh work directory.",
        ),
        FaultKind::PacmanConfig => (
            it("The pacman.conf cannot be used", "The pacman.conf cannot be used: {}"),
            "It names a file that is not there, a repository without a server, or a directive that pacman does not know.",
            "Correct the pacman.conf that the profile names.",
        ),
        FaultKind::PacmanHook => (
            it("A pacman hook failed", "The pacman hook \"{}\" failed"),
            "A program that a package runs after the installation failed; pacman goes on and reports success.",
            "Read the lines above it: they are the hook's own.",
        ),
        FaultKind::Scriptlet => (
            it("A package's install script failed", "The install script of {} failed"),
            "A package's own script failed; pacman goes on and reports success.",
            "Read the lines above it: they are the script's own.",
        ),
        FaultKind::Sandbox => (
            "pacman could not shut its downloader in".to_owned(),
            "pacman 7 downloads as the user alpm under Landlock; a user namespace with one id, or a kernel without \
             Landlock, does not let it.",
            "Put DisableSandbox into [options] of the pacman.conf, and leave DownloadUser out.",
        ),
        FaultKind::Privilege => (
            "Root is needed".to_owned(),
            "The tool was not run as root, not even as the root of a user namespace.",
            "Let Cartridge run it: it makes itself root of a user namespace first.",
        ),
        FaultKind::Owners => (
            it("Files lost their owners", "{} lost its owner"),
            "In this user namespace files can belong to root only, because no ids are lent to this user: the image has \
             root where a package wants another owner.",
            "Lend ids: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
        ),
        FaultKind::InitcpioHook => (
            it("A mkinitcpio hook was not found", "The mkinitcpio hook \"{}\" was not found"),
            "HOOKS in a mkinitcpio.conf names it, but the package that has it is not on the package list.",
            "Add the package, or take the hook out of HOOKS.",
        ),
        FaultKind::InitcpioPreset => (
            it("A mkinitcpio preset was not found", "{} was not found"),
            "The preset or the configuration that it names is not in the image when the kernel is installed.",
            "Put it into airootfs/etc/mkinitcpio.d of the profile, named like the kernel package.",
        ),
        FaultKind::InitcpioPart => (
            it("Something that the initramfs wants is missing", "The initramfs wants {}, which is missing"),
            "A module, program or file that the mkinitcpio configuration names is in no installed package.",
            "Add the package that has it, or take it out of the mkinitcpio configuration.",
        ),
        FaultKind::Initcpio => (
            "The initramfs could not be made".to_owned(),
            "mkinitcpio failed.",
            "Read the lines above it: they are mkinitcpio's own.",
        ),
        FaultKind::MissingFile => (
            it("A file is missing", "{} is missing"),
            "An earlier step should have made it, or the profile should have it. Without an initramfs or a kernel, \
             mkinitcpio did not run or failed: its lines are above.",
            "See that the package that makes it is listed, and read what was printed before.",
        ),
        FaultKind::MissingTool => (
            it("A program is missing", "The program {} is missing"),
            "mkarchiso runs it, and it is not installed.",
            "Install the package that has it.",
        ),
        FaultKind::Mount => (
            it("Something could not be mounted", "{} could not be mounted"),
            "The namespace that mkarchiso runs in may not mount it.",
            "The engine \"archiso\" builds the same profile and mounts nothing of the kind.",
        ),
        FaultKind::Script => (
            it("A script has a mistake", "{} has a mistake"),
            "bash could not read or run a line of it.",
            "Correct that line.",
        ),
        FaultKind::Mkarchiso => (
            "mkarchiso refused".to_owned(),
            "Something in the profile is not as mkarchiso wants it; its message says what.",
            "Change the profile accordingly.",
        ),
        FaultKind::Helper => (
            "The helper refused, or failed".to_owned(),
            "The helper that runs mkarchiso as root did not get what it insists on; its message says what.",
            "Use another way to run mkarchiso: lend ids to this user with sudo usermod --add-subuids 100000-165535 \
             --add-subgids 100000-165535 $USER",
        ),
        FaultKind::RootImage => (
            "The root image could not be packed".to_owned(),
            "The packing tool failed: a full disk, an option that it does not know, or a file that it may not read.",
            "Look at airootfs_image_tool_options in profiledef.sh and at the room in the work directory.",
        ),
        FaultKind::IsoImage => (
            "The ISO could not be written".to_owned(),
            "xorriso failed: a full disk, or a file that a boot mode needs is missing.",
            "Look at the room in the output directory and at the boot modes.",
        ),
        FaultKind::EfiImage => (
            "The EFI partition could not be made".to_owned(),
            "mkfs.fat or mtools failed: most often the partition's image is too small for kernel and initramfs, or the \
             disk is full.",
            "Look at the room in the work directory.",
        ),
        FaultKind::BootLoader => (
            "A boot loader could not be made".to_owned(),
            "The boot loader's own program failed: most often one of its files is not installed.",
            "Install the package that has the file that the line names, or leave that boot mode out.",
        ),
        FaultKind::Interrupted => (
            "The build was interrupted".to_owned(),
            "A tool was stopped by a signal, or killed for lack of memory. mkarchiso may go on after that as if \
             nothing had happened: what it makes then is not whole.",
            "Build again.",
        ),
        FaultKind::Transaction => (
            "pacman gave up".to_owned(),
            "The transaction failed; the reason is in parentheses or above.",
            "Read the lines above it.",
        ),
        FaultKind::Other => {
            ("A tool reported an error".to_owned(), "The line is the tool's own.", "Read the lines around it.")
        }
    };
    (title, cause.to_owned(), advice.to_owned())
}
