//! Decides what an assembled profile is made of: pure.
//!
//! What holds for every plan, whatever the ingredients: no path leads out of the profile, and all above a piece are
//! folders. Where two layers disagree on what is a folder, the earlier one stays in the plan and a problem tells.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::listing::{Found, Listed, Listing, Single};
use super::model::{AIROOTFS, Assembly, DEFINITION, Ingredients, Kind, Origin, PACMAN_CONF, Piece, in_airootfs, plain};
use super::problem::{Problem, Warning};
use super::removal::remove;
use super::{environment, package_list, permissions};
use crate::cache::stat_index::Look;

/// The longest path, bytes (`PATH_MAX` less the final NUL).
const LONGEST: usize = 4095;
/// The longest name, bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// How many links are followed one after the other, as the kernel does.
const HOPS: usize = 40;
/// The package list of a profile that says nothing else and has none.
const LIST: &str = "packages.x86_64";

/// Plans the assembly of `ingredients`, which look as `found` says.
#[must_use]
pub fn plan(ingredients: &Ingredients, found: &Found) -> Assembly {
    let mut planner = Planner::new(found);
    let keys = std::iter::once("image.base").chain(std::iter::repeat("image.overlays"));
    for (index, (listing, key)) in found.layers.iter().zip(keys).enumerate() {
        planner.layer(index.checked_sub(1).map_or(Origin::Base, Origin::Overlay), listing, key);
        if index == 0 {
            let Assembly { pieces, problems, warnings, .. } = &mut planner.plan;
            planner.plan.removed = remove(pieces, &ingredients.remove, problems, warnings);
        }
    }
    planner.explain_removals();
    planner.definition(&ingredients.base);
    planner.pacman_conf(ingredients.pacman_conf.as_deref());
    planner.packages(&ingredients.packages, ingredients.package_list.as_deref());
    for (guest, host) in &ingredients.files {
        planner.single(guest, host);
    }
    planner.environment(&ingredients.env);
    planner.place(&ingredients.into);
    planner.leading_out();
    planner.plan
}

struct Planner<'a> {
    found: &'a Found,
    plan: Assembly,
    /// What was told of already, so that a folder full of conflicts is one.
    told: BTreeSet<(PathBuf, Origin)>,
}

impl<'a> Planner<'a> {
    fn new(found: &'a Found) -> Self {
        let plan = Assembly {
            layers: found.layers.iter().map(|layer| layer.root.clone()).collect(),
            problems: found.problems.clone(),
            ..Assembly::default()
        };
        Self { found, plan, told: BTreeSet::new() }
    }

    fn layer(&mut self, origin: Origin, listing: &Listing, key: &'static str) {
        if listing.entries.is_empty() && !self.is_absent(&listing.root) {
            self.plan.warnings.push(Warning::Empty { key, path: listing.root.clone() });
        }
        let left_out = listing.left_out.iter().map(|(path, what)| Warning::LeftOut { path: path.clone(), what });
        self.plan.warnings.extend(left_out);
        let usual = listing.entries.get(Path::new(AIROOTFS)).map_or(0o755, |folder| folder.mode);
        for (path, listed) in &listing.entries {
            let in_airootfs = path.starts_with(AIROOTFS) && path != Path::new(AIROOTFS);
            let Listed { kind, mode, look } = listed.clone();
            let wished = permissions::wished(&kind, mode, usual).filter(|_| in_airootfs);
            if in_airootfs && permissions::is_special(&kind, mode) {
                self.plan.warnings.push(Warning::SpecialBits { path: path.clone(), mode });
            }
            let from = Some(listing.root.join(path));
            let piece = Piece { kind, mode, origin, from, replaced: Vec::new(), text: None, wished, look };
            self.put(path, piece);
        }
    }

    /// Whether it was told that `layer` is not there.
    fn is_absent(&self, layer: &Path) -> bool {
        let tells = |it: &Problem| match it {
            Problem::Absent { key: "image.base" | "image.overlays", path, .. } => path == layer,
            _ => false,
        };
        self.found.problems.iter().any(tells)
    }

    /// Lays a piece over what is there. Says whether it fits.
    fn put(&mut self, path: &Path, mut piece: Piece) -> bool {
        if let Some(why) = unusable(path) {
            let key = piece.origin.to_string();
            self.plan.problems.push(Problem::BadPath { key, path: path.to_path_buf(), why });
            return false;
        }
        let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()).collect();
        above.reverse();
        for folder in above {
            match self.plan.pieces.get(folder) {
                Some(there) if there.is_dir() => {}
                Some(there) => {
                    let kept = (there.origin, there.kind.clone());
                    self.conflict(folder, kept, (piece.origin, Kind::Dir));
                    return false;
                }
                None => drop(self.plan.pieces.insert(folder.to_path_buf(), folder_of(piece.origin))),
            }
        }
        match self.plan.pieces.get_mut(path) {
            Some(there) if there.is_dir() && piece.is_dir() => {
                (there.mode, there.look) = (piece.mode, piece.look);
                there.wished = piece.wished.or(there.wished);
                there.from = there.from.take().or(piece.from);
            }
            Some(there) if there.is_dir() || piece.is_dir() => {
                let kept = (there.origin, there.kind.clone());
                self.conflict(path, kept, (piece.origin, piece.kind));
                return false;
            }
            Some(there) => {
                piece.replaced = std::mem::take(&mut there.replaced);
                piece.replaced.push(there.origin);
                *there = piece;
            }
            None => {
                piece.replaced.extend(self.plan.removed.get(path).filter(|it| !it.is_dir()).map(|it| it.origin));
                self.plan.pieces.insert(path.to_path_buf(), piece);
            }
        }
        true
    }

    fn conflict(&mut self, path: &Path, kept: (Origin, Kind), refused: (Origin, Kind)) {
        if self.told.insert((path.to_path_buf(), refused.0)) {
            self.plan.problems.push(Problem::Conflict { path: path.to_path_buf(), kept, refused });
        }
    }

    /// Adds to each warning of a removal that took nothing which overlay has it.
    fn explain_removals(&mut self) {
        for warning in &mut self.plan.warnings {
            if let Warning::NothingRemoved { path, overlay, .. } = warning {
                let layers = self.found.layers.iter().skip(1);
                *overlay = layers.clone().position(|it| it.entries.contains_key(path.as_path())).map(Origin::Overlay);
            }
        }
    }

    /// Makes sure that there is a `profiledef.sh`, and that it is a file: it may have to be extended.
    fn definition(&mut self, base: &Path) {
        let path = Path::new(DEFINITION);
        match self.plan.pieces.get(path).map(|piece| piece.kind.clone()) {
            Some(Kind::Link { target }) => match self.resolved(path) {
                Some(file) => {
                    if let (Some(content), Some(piece)) =
                        (self.plan.pieces.get(&file).cloned(), self.plan.pieces.get_mut(path))
                    {
                        (piece.kind, piece.mode, piece.look) = (content.kind, content.mode, content.look);
                        (piece.from, piece.text) = (content.from, content.text);
                    }
                }
                None => self.plan.problems.push(elsewhere(path, &target)),
            },
            Some(Kind::File { .. }) => {}
            Some(Kind::Dir) | None if self.is_absent(base) => {}
            Some(Kind::Dir) | None => self.plan.problems.push(Problem::NotAProfile { base: base.to_path_buf() }),
        }
    }

    fn pacman_conf(&mut self, chosen: Option<&Path>) {
        let Some(single) = chosen.and_then(|file| self.found.singles.get(file)) else { return };
        let piece = copy_of(single, Origin::PacmanConf);
        if self.put(Path::new(PACMAN_CONF), piece) {
            self.plan.pacman_conf = Some(PathBuf::from(PACMAN_CONF));
        }
    }

    fn packages(&mut self, packages: &[String], list: Option<&Path>) {
        for name in packages.iter().filter(|name| !package_list::is_name(name)) {
            self.plan.problems.push(Problem::BadPackage { name: name.clone() });
        }
        if packages.is_empty() || !packages.iter().all(|name| package_list::is_name(name)) {
            return;
        }
        let Some(list) = list.map_or_else(|| Some(self.usual_list()), plain) else {
            let why = "is no path inside the profile";
            return self.bad_list(list.unwrap_or(Path::new("")), why);
        };
        let there = match self.plan.pieces.get(&list).map(|piece| piece.kind.clone()) {
            None => None,
            Some(Kind::Dir) => return self.bad_list(&list, "is a folder. Make it a file, one package a line"),
            Some(Kind::File { .. }) => self.plan.pieces.get(&list).cloned(),
            Some(Kind::Link { target }) => match self.resolved(&list) {
                Some(file) => self.plan.pieces.get(&file).cloned(),
                None => return self.plan.problems.push(elsewhere(&list, &target)),
            },
        };
        let old = match there.as_ref().map(|piece| self.text_of(piece)) {
            None => Vec::new(),
            Some(Some(text)) => text.to_vec(),
            Some(None) => {
                let why = "is not called packages*, or is larger than 1 MiB: it was not read. Rename it";
                return self.bad_list(&list, why);
            }
        };
        let (text, added) = package_list::extended(&old, packages);
        self.plan.package_list = Some(list.clone());
        if added.is_empty() {
            return;
        }
        let (mode, look, from) =
            there.map_or((0o644, Look::default(), None), |piece| (piece.mode, piece.look, piece.from));
        if from.is_none() {
            self.plan.warnings.push(Warning::NewList { path: list.clone() });
        }
        let piece = Piece { mode, look, from, ..made(Origin::Packages, text) };
        if self.put(&list, piece) {
            self.plan.packages = added;
        }
    }

    fn bad_list(&mut self, path: &Path, why: &'static str) {
        self.plan.problems.push(Problem::BadList { path: path.to_path_buf(), why });
    }

    /// The package list of a profile whose `profiledef.sh` is not known.
    fn usual_list(&self) -> PathBuf {
        let has = |name: &str| self.plan.pieces.contains_key(Path::new(name));
        let top = self.plan.pieces.iter().filter(|(path, piece)| !piece.is_dir() && path.components().nth(1).is_none());
        let top = top.map(|it| it.0);
        let mut others = top.filter(|path| path.as_os_str().as_encoded_bytes().starts_with(b"packages."));
        match (others.next(), others.next()) {
            _ if has(LIST) => PathBuf::from(LIST),
            (Some(only), None) => only.clone(),
            _ if has("packages") => PathBuf::from("packages"),
            _ => PathBuf::from(LIST),
        }
    }

    /// The text of a package list.
    fn text_of(&self, piece: &Piece) -> Option<&'a [u8]> {
        let index = match piece.origin {
            Origin::Base => 0,
            Origin::Overlay(index) => index.checked_add(1)?,
            _ => return None,
        };
        let layer = self.found.layers.get(index)?;
        let path = piece.from.as_ref()?.strip_prefix(&layer.root).ok()?;
        layer.lists.get(path).map(Vec::as_slice)
    }

    fn single(&mut self, guest: &Path, host: &Path) {
        let Some(single) = self.found.singles.get(host) else { return };
        let Some(path) = in_airootfs(guest) else {
            let why = "has to be an absolute path, that of the file itself in the live system";
            let (key, path) = ("image.files".to_owned(), guest.to_path_buf());
            return self.plan.problems.push(Problem::BadPath { key, path, why });
        };
        let wished = permissions::wished_single(single.mode);
        let piece = Piece { wished, ..copy_of(single, Origin::File) };
        self.put(&path, piece);
    }

    fn environment(&mut self, env: &BTreeMap<String, String>) {
        let bad: Vec<_> = env.iter().filter(|(name, value)| !environment::is_variable(name, value)).collect();
        self.plan.problems.extend(bad.iter().map(|it| Problem::BadVariable { name: it.0.clone() }));
        if env.is_empty() || !bad.is_empty() {
            return;
        }
        for (path, text) in environment::files(env) {
            let path = Path::new(AIROOTFS).join(path);
            if self.plan.pieces.get(&path).is_some_and(|there| there.origin == Origin::File) {
                let (lost, won) = (Origin::File, Origin::Env);
                self.plan.warnings.push(Warning::Twice { path: path.clone(), lost, won });
            }
            self.put(&path, made(Origin::Env, text.into_bytes()));
        }
    }

    /// Where the repository goes there must be a folder, or nothing.
    fn place(&mut self, into: &Path) {
        into.clone_into(&mut self.plan.into);
        let Some(place) = in_airootfs(into).filter(|place| unusable(place).is_none()) else {
            let why = "has to be an absolute path of a folder in the live system, without dots";
            let (key, path) = ("source.into".to_owned(), into.to_path_buf());
            return self.plan.problems.push(Problem::BadPath { key, path, why });
        };
        let blocked = place.ancestors().find_map(|path| Some((path, self.plan.pieces.get(path)?)));
        if let Some((path, piece)) = blocked.filter(|(_, piece)| !piece.is_dir()) {
            let (kind, origin) = (piece.kind.clone(), piece.origin);
            let path = Path::new("/").join(path.strip_prefix(AIROOTFS).unwrap_or(path));
            self.plan.problems.push(Problem::Blocked { path, kind, origin });
        }
    }

    /// Links of the boot loaders' folders and their like that break because the profile moves.
    fn leading_out(&mut self) {
        let outside = |path: &Path| path == Path::new(AIROOTFS) || !path.starts_with(AIROOTFS);
        let links = self.plan.pieces.iter().filter(|(path, _)| outside(path));
        let out = links.filter_map(|(path, piece)| match &piece.kind {
            Kind::Link { target } if Path::new(target).is_relative() && joined(path, target).is_none() => {
                Some(Warning::LeadsOut { path: path.clone(), target: target.into() })
            }
            _ => None,
        });
        let out: Vec<Warning> = out.collect();
        self.plan.warnings.extend(out);
    }

    /// The file of the profile that the link `path` leads to.
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let mut at = path.to_path_buf();
        for _ in 0..HOPS {
            match &self.plan.pieces.get(&at)?.kind {
                Kind::Link { target } => at = joined(&at, target)?,
                Kind::File { .. } => return Some(at),
                Kind::Dir => return None,
            }
        }
        None
    }
}

/// Where the link `path` leads, if that is inside the profile. Links among the folders on the way are not followed.
fn joined(path: &Path, target: &OsStr) -> Option<PathBuf> {
    let mut at = path.parent()?.to_path_buf();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::CurDir => {}
            Component::ParentDir if at.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(at)
}

/// Why nothing in a profile can have this path.
fn unusable(path: &Path) -> Option<&'static str> {
    let has_dots = plain(path).is_none_or(|plain| plain.as_os_str() != path.as_os_str());
    let has_nul = path.as_os_str().as_encoded_bytes().contains(&0);
    let is_long = path.as_os_str().len() > LONGEST || path.iter().any(|name| name.len() > LONGEST_NAME);
    match (has_dots || has_nul, is_long) {
        (true, _) => Some("is no plain path: leave out \"..\", \".\" and doubled slashes"),
        (_, true) => Some("is too long: Linux allows 4095 bytes, and 255 for each name"),
        _ => None,
    }
}

fn elsewhere(path: &Path, target: &OsStr) -> Problem {
    Problem::Elsewhere { path: path.to_path_buf(), target: target.into() }
}

/// A folder that nobody brought and somebody needs.
fn folder_of(origin: Origin) -> Piece {
    Piece { kind: Kind::Dir, mode: 0o755, text: None, ..made(origin, Vec::new()) }
}

/// A file that we make.
fn made(origin: Origin, text: Vec<u8>) -> Piece {
    let kind = Kind::File { size: text.len() as u64 };
    let (replaced, look) = (Vec::new(), Look::default());
    Piece { kind, mode: 0o644, origin, from: None, replaced, text: Some(text), wished: None, look }
}

fn copy_of(single: &Single, origin: Origin) -> Piece {
    let Single { from, size, mode, look } = single.clone();
    Piece { kind: Kind::File { size }, mode, from: Some(from), text: None, look, ..made(origin, Vec::new()) }
}
