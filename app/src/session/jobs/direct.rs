//! Makes ready what a boot without a boot loader needs: the entry of an ISO and its files, a kernel and its modules, the
//! command line. Blocks; can be cancelled.

use std::fs;
use std::path::{Path, PathBuf};

use isoprep::contents::{BootChoice, Watch, boot_menu, extract, live_layers};
use isoprep::{BootAccess, Cancel, EngineKind, HostSearch, Image, Recipe};
use vmtools::boot::{BootError, DirectBoot, Early, Prepared, Root};
use vmtools::{Access, Boot, GuestKernel, SharedFolder};

use crate::paths::Paths;
use crate::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectView, DirectWish, EntryWish};
use crate::session::event::{Failure, Level};
use crate::session::failure::{self, exit_code};

/// What a direct boot is made ready from.
pub(in crate::session) struct Wanted {
    pub(in crate::session) wish: DirectWish,
    /// What the last build left, if it left something.
    pub(in crate::session) image: Option<Image>,
    /// Whether it tells its whole command line; that of a distribution's image stands in its boot entries.
    pub(in crate::session) tells_words: bool,
    /// Whether the guest's processor is emulated.
    pub(in crate::session) emulated: bool,
    /// Where kernels are looked for.
    pub(in crate::session) search: HostSearch,
    pub(in crate::session) paths: Paths,
    /// Whether what is named is named for this run: see [`DirectWish::named_for_run`].
    named_for_run: bool,
}

impl Wanted {
    /// What is wished, by whom, for that cartridge and on that machine.
    pub(in crate::session) fn new(
        (wish, named_for_run): (DirectWish, bool),
        image: Option<Image>,
        recipe: &Recipe,
        hardware: Option<&super::Hardware>,
        paths: Paths,
    ) -> Self {
        Self {
            named_for_run,
            wish,
            image,
            tells_words: recipe.image.engine == EngineKind::Micro,
            emulated: hardware.is_some_and(|it| it.machine.accelerator == vmtools::Accelerator::Tcg),
            search: super::host_search(&paths, recipe),
            paths,
        }
    }

    /// A failure of the image that the last build left: nobody has named that.
    fn unless_ours(&self, failure: Failure) -> Failure {
        match failure.exit_code {
            exit_code::USAGE if self.wish.source == DirectSource::Image => {
                Failure { exit_code: exit_code::GUEST, ..failure }
            }
            _ => failure,
        }
    }

    fn of_boot(&self, error: &BootError) -> Failure {
        let failure = failure::of_boot(error);
        match (&self.wish.source, error) {
            (
                DirectSource::Kernel(DirectKernel { root: DirectRoot::LastImage, .. }),
                BootError::NotARoot { path, .. },
            ) if self.image.as_ref().is_some_and(|image| image.iso == *path) => {
                Failure { exit_code: exit_code::GUEST, ..failure }
            }
            (_, BootError::CommandLine { .. }) => failure,
            _ => self.unless_ours(failure),
        }
    }
}

/// What QEMU needs.
pub(in crate::session) struct Ready {
    pub(in crate::session) boot: Boot,
    /// Read-only disks of the guest, in order.
    pub(in crate::session) layers: Vec<PathBuf>,
    /// The disk that keeps what the guest writes over them.
    pub(in crate::session) keep: Option<PathBuf>,
    /// The image that the kernel came from: a CD, as its own initramfs looks for one.
    pub(in crate::session) medium: Option<PathBuf>,
    /// Folders of this host that the guest needs.
    pub(in crate::session) folders: Vec<SharedFolder>,
    /// What is known of the kernel, for who serves them.
    pub(in crate::session) kernel: GuestKernel,
    /// What the kernel looks at by itself, for templates.
    pub(in crate::session) early: Option<Early>,
    pub(in crate::session) view: DirectView,
    /// What the user should know, a sentence each.
    pub(in crate::session) notices: Vec<(Level, String)>,
}

/// Makes it ready.
pub(in crate::session) fn make_ready(wanted: &Wanted, cancel: &Cancel) -> Result<Ready, Failure> {
    made_ready(wanted, cancel).map_err(|failure| match failure.exit_code {
        // What is named wrongly is in the cartridge then, not on the command line.
        exit_code::USAGE if !wanted.named_for_run => Failure { exit_code: exit_code::CARTRIDGE, ..failure },
        _ => failure,
    })
}

fn made_ready(wanted: &Wanted, cancel: &Cancel) -> Result<Ready, Failure> {
    for (what, path) in wanted.wish.named() {
        let found = fs::metadata(path).map_err(|error| failure::of_named(what, path, &error))?;
        // Whoever reads an ISO says better what it is instead.
        if what != "ISO" && found.is_dir() != what.contains("folder") {
            return Err(failure::of_folder(what, path, found.is_dir()));
        }
    }
    if let DirectSource::Kernel(kernel) = &wanted.wish.source {
        look_at_root(&kernel.root, wanted.wish.names_a_root(), cancel)?;
    }
    let into = wanted.paths.direct();
    isoprep::ensure_marked(&into, "direct").map_err(|e| failure::internal("No cache could be made", &e))?;
    let (boot, view, mut notices) = match &wanted.wish.source {
        DirectSource::Image if wanted.tells_words => of_image(wanted, &into, cancel)?,
        DirectSource::Image => {
            let image = wanted.image.as_ref().ok_or_else(failure::no_image)?;
            of_iso(wanted, &image.iso, &EntryWish::Best, &into, cancel)?
        }
        DirectSource::Iso { iso, entry } => of_iso(wanted, iso, entry, &into, cancel)?,
        DirectSource::Kernel(kernel) => of_kernel(wanted, kernel)?,
    };
    let prepared = match &wanted.wish.source {
        // An entry that names no initramfs boots none; without one we would make ours.
        DirectSource::Image | DirectSource::Iso { .. } if boot.initrds.is_empty() => bare(boot),
        _ => vmtools::boot::prepare(&boot, &into, cancel).map_err(|e| wanted.of_boot(&e))?,
    };
    let Prepared { boot, layers, keep, shares, kernel, early, notices: more } = prepared;
    notices.extend(more.into_iter().map(|text| (Level::Warning, text)));
    // The image that a kernel came from is there too, unless it is the root anyway.
    let medium = view.disk.clone().filter(|disk| !layers.contains(disk));
    let view = match &boot {
        Boot::Direct { initrds, cmdline, .. } => {
            DirectView { initrds: initrds.clone(), cmdline: cmdline.clone(), ..view }
        }
        Boot::Iso(_) | Boot::Nothing => view,
    };
    Ok(Ready { boot, layers, keep, medium, folders: shares, kernel, early, view, notices })
}

/// What the guest could only find out later: that there is nothing in a folder, and nothing on an ISO that can be a root.
/// `other`: the command line names another disk as the root.
fn look_at_root(root: &DirectRoot, other: bool, cancel: &Cancel) -> Result<(), Failure> {
    match root {
        DirectRoot::Folder(dir, _) => {
            // What cannot be read is told where it is served.
            let empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
            if empty { Err(failure::of_empty_root(dir)) } else { Ok(()) }
        }
        // What is no ISO, or one that only a kernel can read, is looked at by others.
        DirectRoot::Layers(disk) if !other => match live_layers(disk, &Watch { cancel, tell: &|_| () }) {
            Ok(layers) if layers.is_empty() => Err(failure::of_no_layers(disk)),
            Ok(_) | Err(_) => Ok(()),
        },
        DirectRoot::Layers(_) | DirectRoot::LastImage | DirectRoot::Initramfs => Ok(()),
    }
}

/// What is to be booted, how that looks to people, and what they should know.
type Found = (DirectBoot, DirectView, Vec<(Level, String)>);

fn of_image(wanted: &Wanted, into: &Path, cancel: &Cancel) -> Result<Found, Failure> {
    let image = wanted.image.as_ref().ok_or_else(failure::no_image)?;
    let cmdline = cmdline(wanted, &image.cmdline)?;
    // They lie in the cache, which keeps only what was built last; the ISO has them too.
    let gone = std::iter::once(&image.kernel).chain(&image.initrds).find_map(|file| {
        let error = fs::metadata(file).err()?;
        Some((file, error))
    });
    let (kernel, initrds) = match gone {
        None => (image.kernel.clone(), image.initrds.clone()),
        Some((file, error)) => {
            // Without the ISO there is nothing that they could come from.
            if fs::metadata(&image.iso).is_err() {
                return Err(failure::of_gone_part(file, &error));
            }
            let watch = Watch { cancel, tell: &|_| () };
            let unread = |e| wanted.unless_ours(failure::of_choice(&e));
            let menu = boot_menu(&image.iso, &watch).map_err(unread)?;
            let none = |why: String| wanted.unless_ours(failure::of_entry(&image.iso, &why));
            let choice = EntryWish::Best.choose(&menu).map_err(none)?;
            let files = extract(&image.iso, choice, into, &watch).map_err(unread)?;
            (files.kernel, files.initrds)
        }
    };
    let boot = as_it_is(kernel, initrds, cmdline);
    let view = DirectView { disk: Some(image.iso.clone()), ..view("the image's own kernel", &boot) };
    Ok((boot, view, Vec::new()))
}

fn of_iso(wanted: &Wanted, iso: &Path, entry: &EntryWish, into: &Path, cancel: &Cancel) -> Result<Found, Failure> {
    let watch = Watch { cancel, tell: &|_| () };
    let unread = |e| wanted.unless_ours(failure::of_choice(&e));
    let menu = boot_menu(iso, &watch).map_err(unread)?;
    let choice = entry.choose(&menu).map_err(|why| wanted.unless_ours(failure::of_entry(iso, &why)))?;
    let cmdline = cmdline(wanted, &choice.cmdline)?;
    let files = extract(iso, choice, into, &watch).map_err(unread)?;
    let boot = as_it_is(files.kernel, files.initrds, cmdline);
    let entry = Some(choice.title.clone());
    let view = DirectView { entry, disk: Some(iso.to_owned()), ..view("an entry of an ISO", &boot) };
    Ok((boot, view, left_out(choice)))
}

fn left_out(choice: &BootChoice) -> Vec<(Level, String)> {
    let say =
        |word: &String| format!("Left out of the command line, because only its boot loader knows the value: {word}");
    choice.left_out.iter().map(|word| (Level::Warning, say(word))).collect()
}

fn of_kernel(wanted: &Wanted, wish: &DirectKernel) -> Result<Found, Failure> {
    let (kernel, modules) = match &wish.kernel {
        Some(kernel) => (kernel.clone(), wish.modules.clone()),
        None => {
            let found = isoprep::kernels(&wanted.search).into_iter().next().ok_or_else(failure::no_kernel)?;
            (found.image, wish.modules.clone().or(found.modules))
        }
    };
    let layers = |disk: PathBuf| Root::Layers { disk, layers: Vec::new(), keep: wish.keep.clone() };
    let root = match &wish.root {
        DirectRoot::Initramfs => Root::Initramfs,
        DirectRoot::Layers(disk) => layers(disk.clone()),
        DirectRoot::LastImage => layers(wanted.image.as_ref().ok_or_else(failure::no_image)?.iso.clone()),
        DirectRoot::Folder(dir, access) => Root::Folder { dir: dir.clone(), access: access_of(*access) },
    };
    let way = match &root {
        Root::Initramfs if wish.initrds.is_empty() => "a kernel with Cartridge's own small system",
        Root::Initramfs => "a kernel",
        Root::Layers { .. } => "a kernel on the layers of an image",
        Root::Folder { .. } => "a kernel on a folder of this host",
    };
    let kept = wish.keep.as_ref().filter(|_| matches!(root, Root::Layers { .. }));
    // It was asked for.
    let notice = |file: &PathBuf| (Level::Info, format!("What the guest writes is kept in {}", file.display()));
    let notices = kept.map(notice).into_iter().collect();
    let (disk, folder) = match &root {
        Root::Layers { disk, .. } => (Some(disk.clone()), None),
        Root::Folder { dir, .. } => (None, Some(dir.clone())),
        Root::Initramfs => (None, None),
    };
    let boot = DirectBoot { kernel, modules, initrds: wish.initrds.clone(), root, cmdline: cmdline(wanted, "")? };
    let view = DirectView { disk, folder, ..view(way, &boot) };
    Ok((boot, view, notices))
}

/// A kernel with exactly these initramfs files.
fn as_it_is(kernel: PathBuf, initrds: Vec<PathBuf>, cmdline: String) -> DirectBoot {
    DirectBoot { kernel, modules: None, initrds, root: Root::Initramfs, cmdline }
}

/// A kernel without any initramfs.
fn bare(boot: DirectBoot) -> Prepared {
    let DirectBoot { kernel, initrds, cmdline, .. } = boot;
    Prepared {
        boot: Boot::Direct { kernel, initrds, cmdline },
        layers: Vec::new(),
        keep: None,
        shares: Vec::new(),
        kernel: GuestKernel::default(),
        early: None,
        notices: Vec::new(),
    }
}

fn view(way: &str, boot: &DirectBoot) -> DirectView {
    DirectView {
        way: way.to_owned(),
        kernel: boot.kernel.clone(),
        initrds: boot.initrds.clone(),
        cmdline: boot.cmdline.clone(),
        entry: None,
        disk: None,
        folder: None,
    }
}

fn cmdline(wanted: &Wanted, own: &str) -> Result<String, Failure> {
    wanted.wish.cmdline(own, wanted.emulated).map_err(|why| failure::of_cmdline(&why))
}

fn access_of(access: BootAccess) -> Access {
    match access {
        BootAccess::Overlaid => Access::Overlaid,
        BootAccess::ReadOnly => Access::ReadOnly,
        BootAccess::Writable => Access::Writable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_writes_are_kept_as_was_wished_is_no_warning() {
        let paths = Paths::nowhere();
        let recipe = isoprep::parse("", Path::new("/x")).unwrap();
        let kernel = DirectKernel {
            kernel: Some("/k".into()),
            root: DirectRoot::Layers("/d.sfs".into()),
            keep: Some("/keep.img".into()),
            ..DirectKernel::default()
        };
        let wish = DirectWish::of(DirectSource::Kernel(kernel.clone()));
        let wanted = Wanted::new((wish, true), None, &recipe, None, paths);
        let (_, _, notices) = of_kernel(&wanted, &kernel).unwrap();
        assert_eq!(notices, [(Level::Info, "What the guest writes is kept in /keep.img".to_owned())]);
    }
}
