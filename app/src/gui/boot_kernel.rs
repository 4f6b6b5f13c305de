//! The dialog that boots a kernel of this machine: with an initramfs that is the system, with layers on a disk, or with a
//! folder as its root.

use egui::{RichText, TextEdit, Ui};
use isoprep::BootAccess;

use super::boot_form::{BootForms, checked, choose, cmdline, label, path, typed, words_below};
use super::controls;
use super::theme::Palette;
use super::wish::{BootFile, Wishes};
use crate::session::Model;
use crate::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish};

const WAYS: [&str; 3] = ["Initramfs", "Layers on a disk", "Folder"];
const ACCESSES: [(&str, BootAccess, &str); 3] = [
    ("overlaid", BootAccess::Overlaid, "The guest may write, and the folder never changes."),
    ("read-only", BootAccess::ReadOnly, "The guest may not write to its root."),
    ("writable", BootAccess::Writable, "What the guest writes is written to the folder."),
];

/// Draws the dialog's contents.
pub(super) fn show(ui: &mut Ui, model: &Model, picker: bool, forms: &mut BootForms, wishes: &mut Wishes) {
    words_below(ui, "No image and no boot loader: QEMU starts the kernel. It needs no cartridge.");
    let kernel = ("Kernel", "The best one of this machine");
    let modules = ("Modules", "Found by the kernel");
    // Beside each other: with what went wrong below, the button must still be in sight.
    let mut entered = ui.columns(2, |sides| {
        let first = path(&mut sides[0], &mut forms.kernel, kernel, (BootFile::Kernel, picker), wishes);
        path(&mut sides[1], &mut forms.modules, modules, (BootFile::Modules, picker), wishes) || first
    });
    label(ui, "Root");
    if let Some(way) = controls::segments(ui, "Root", &WAYS, Some(forms.way)) {
        forms.way = way;
    }
    match forms.way {
        0 => initrds(ui, picker, forms, wishes),
        1 => {
            let disk = ("Disk", "An ISO, a squashfs, an EROFS, or the image of a disk");
            entered |= path(ui, &mut forms.disk, disk, (BootFile::Disk, picker), wishes);
            let keep = ("Keep what is written in", "Nothing is kept");
            entered |= path(ui, &mut forms.keep, keep, (BootFile::Keep, picker), wishes);
            small(
                ui,
                "Its layers are found and stacked. What is written over them is forgotten, unless a file keeps it.",
            );
        }
        _ => {
            let folder = ("Folder", "A folder with a root file system");
            entered |= path(ui, &mut forms.folder, folder, (BootFile::Folder, picker), wishes);
            label(ui, "Access");
            if let Some(access) = controls::segments(ui, "Access", &ACCESSES.map(|it| it.0), Some(forms.access)) {
                forms.access = access;
            }
            small(ui, ACCESSES.get(forms.access).map_or("", |it| it.2));
        }
    }
    label(ui, "Added to the command line");
    entered |= cmdline(ui, &mut forms.append, "Added to the command line", "quiet loglevel=3", 2);
    forms.finish(ui, model, wish(forms), entered, wishes);
}

fn initrds(ui: &mut Ui, picker: bool, forms: &mut BootForms, wishes: &mut Wishes) {
    label(ui, "Initramfs files");
    ui.horizontal_top(|ui| {
        let hint = RichText::new("One of Cartridge's, with busybox").color(Palette::of(ui).dim);
        let field = TextEdit::multiline(&mut forms.initrds)
            .hint_text(hint)
            .desired_rows(2)
            .desired_width(ui.available_width() - 48.0);
        ui.add(field).accessible_name("Initramfs files");
        choose(ui, picker, "Initramfs files", BootFile::Initrd, wishes);
    });
    small(ui, "One path a line. They are the system; the kernel unpacks one over the other.");
}

fn small(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().color(Palette::of(ui).dim)).wrap());
}

/// What the form asks for, or what is missing.
fn wish(forms: &BootForms) -> Result<DirectWish, String> {
    let given = |text: &str, what: &str| match text.trim() {
        "" => Ok(None),
        text => typed(text, what).map(Some),
    };
    let (kernel, modules) = (given(&forms.kernel, "The kernel")?, given(&forms.modules, "The modules")?);
    let files = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|it| typed(it, "An initramfs")).collect::<Result<Vec<_>, _>>()
    };
    let (root, initrds) = match forms.way {
        0 => (DirectRoot::Initramfs, files(&forms.initrds)?),
        1 => (DirectRoot::Layers(typed(&forms.disk, "The disk")?), Vec::new()),
        _ => {
            let access = ACCESSES.get(forms.access).map_or(BootAccess::Overlaid, |it| it.1);
            (DirectRoot::Folder(typed(&forms.folder, "The folder")?, access), Vec::new())
        }
    };
    let keep = if forms.way == 1 { given(&forms.keep, "The file that keeps it")? } else { None };
    let source = DirectSource::Kernel(DirectKernel { kernel, modules, initrds, root, keep });
    checked(DirectWish { append: forms.append.trim().to_owned(), ..DirectWish::of(source) }, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_asks_for_what_its_way_says_and_names_what_is_missing() {
        let of = |forms: &BootForms| match wish(forms).unwrap().source {
            DirectSource::Kernel(kernel) => kernel,
            other => panic!("{other:?}"),
        };
        let mut forms = BootForms::default();
        forms.initrds = "/a.img\n\n /b.img".into();
        assert_eq!(of(&forms).initrds.len(), 2);
        assert_eq!((of(&forms).kernel, of(&forms).root), (None, DirectRoot::Initramfs));
        forms.way = 1;
        assert_eq!(wish(&forms).unwrap_err(), "The disk is missing.");
        forms.disk = "/x.iso".into();
        let layers = of(&forms);
        assert!(layers.initrds.is_empty() && layers.root == DirectRoot::Layers("/x.iso".into()));
        (forms.way, forms.folder, forms.access) = (2, "root".into(), 2);
        assert_eq!(wish(&forms).unwrap_err(), "Write the whole path of the folder.");
        forms.folder = "/srv/root".into();
        assert_eq!(of(&forms).root, DirectRoot::Folder("/srv/root".into(), BootAccess::Writable));
        forms.append = "x".repeat(3000);
        assert!(wish(&forms).unwrap_err().starts_with("The command line cannot be used"));
    }
}
