//! Which kernel modules go along, and in which order they load: the closure over `modules.dep`, `modules.builtin` and
//! `modules.softdep` (depmod(8), modules.dep(5)). Pure: takes the texts.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What depmod wrote about a kernel's modules.
#[derive(Debug, Default)]
pub struct ModuleTree {
    /// Normalised name to path below the modules directory.
    paths: HashMap<String, String>,
    /// Path to the paths that it needs.
    needs: HashMap<String, Vec<String>>,
    builtin: HashSet<String>,
    soft: BTreeMap<String, Vec<String>>,
}

impl ModuleTree {
    /// Reads the texts of `modules.dep`, `modules.builtin` and `modules.softdep`; the last two may be empty. Lines that
    /// are none are passed over.
    #[must_use]
    pub fn parse(dep: &str, builtin: &str, softdep: &str) -> Self {
        let mut tree = Self::default();
        for line in dep.lines() {
            let Some((path, needs)) = line.split_once(':') else { continue };
            tree.paths.insert(name_of(path), path.to_owned());
            tree.needs.insert(path.to_owned(), needs.split_whitespace().map(str::to_owned).collect());
        }
        tree.builtin = builtin.lines().map(name_of).collect();
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            if words.next() != Some("softdep") {
                continue;
            }
            let Some(module) = words.next() else { continue };
            // Only what has to come before; what may come after is somebody's wish, not a need.
            let before = words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| *word != "post:");
            tree.soft.entry(normal(module)).or_default().extend(before.map(normal));
        }
        tree
    }

    /// The paths of the `wanted` modules and of all that they need, in load order. Built-in ones and such that this
    /// kernel does not have are passed over.
    #[must_use]
    pub fn closure<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for name in wanted {
            self.visit(&normal(name), &mut seen, &mut order);
        }
        order
    }

    /// Whether this kernel can do what module `name` does: it has it, or has it built in.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let name = normal(name);
        self.builtin.contains(&name) || self.paths.contains_key(&name)
    }

    /// Whether it is part of the kernel itself, and there before any module is loaded.
    #[must_use]
    pub fn is_built_in(&self, name: &str) -> bool {
        self.builtin.contains(&normal(name))
    }

    fn visit(&self, name: &str, seen: &mut HashSet<String>, order: &mut Vec<String>) {
        if self.builtin.contains(name) || !seen.insert(name.to_owned()) {
            return;
        }
        let Some(path) = self.paths.get(name) else { return };
        for soft in self.soft.get(name).into_iter().flatten() {
            // An algorithm may be asked for by its own name; the module that has it everywhere is called after it
            // (Linux, crypto/, "crypto-crc32c").
            let algorithm = soft.strip_prefix("crypto_").unwrap_or(soft);
            let module = if self.has(soft) { soft.clone() } else { format!("{algorithm}_generic") };
            self.visit(&module, seen, order);
        }
        // modules.dep names the nearest need first: the last has to be loaded first.
        for need in self.needs.get(path).into_iter().flatten().rev() {
            self.visit(&name_of(need), seen, order);
        }
        order.push(path.clone());
    }

    /// `modules.dep` for `kept` paths only, as they are called once unpacked.
    #[must_use]
    pub fn dep_for(&self, kept: &[String]) -> String {
        let line = |path: &String| {
            let needs = self.needs.get(path).into_iter().flatten();
            let needs: String = needs.map(|need| format!(" {}", unpacked(need))).collect();
            format!("{}:{needs}\n", unpacked(path))
        };
        kept.iter().map(line).collect()
    }
}

/// The lines of `modules.alias` that lead to a module of `kept`: what lets `modprobe` find one by what it drives.
#[must_use]
pub fn alias_for(alias: &str, kept: &[String]) -> String {
    let kept: HashSet<String> = kept.iter().map(|path| name_of(path)).collect();
    let leads = |line: &&str| {
        line.starts_with("alias ") && line.rsplit(' ').next().is_some_and(|name| kept.contains(&normal(name)))
    };
    alias.lines().filter(leads).flat_map(|line| [line, "\n"]).collect()
}

/// `kernel/a/b-c.ko.xz` without its compression: `kernel/a/b-c.ko`.
#[must_use]
pub fn unpacked(path: &str) -> &str {
    [".xz", ".gz", ".zst"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

/// `kernel/a/b-c.ko.xz` is the module `b_c`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(unpacked(file).strip_suffix(".ko").unwrap_or(file))
}

/// Dashes and underscores are the same in module names.
fn normal(name: &str) -> String {
    name.trim().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "k/a-b.ko.xz: k/c.ko k/d.ko\nk/c.ko: k/d.ko\nk/d.ko:\nk/s.ko.zst:\nk/loop.ko: k/ring.ko\nk/ring.ko: k/loop.ko\n";

    fn tree() -> ModuleTree {
        ModuleTree::parse(DEP, "k/built-in.ko\n", "# x\nsoftdep a_b pre: s built_in post: never\nsoftdep\n")
    }

    #[test]
    fn needs_come_first_and_everything_once() {
        let order = tree().closure(["a_b", "c", "built-in", "absent"]);
        assert_eq!(order, ["k/s.ko.zst", "k/d.ko", "k/c.ko", "k/a-b.ko.xz"]);
    }

    #[test]
    fn a_kernel_has_what_it_loads_and_what_is_built_in() {
        let tree = tree();
        assert!(tree.has("a-b") && tree.has("built_in") && !tree.has("absent"));
    }

    #[test]
    fn algorithms_come_with_the_module_that_has_them() {
        let dep = "k/ext4.ko:\nk/crc32c_generic.ko:\nk/libcrc32c.ko:\n";
        let soft = "softdep ext4 pre: crypto-crc32c\nsoftdep libcrc32c pre: crc32c\n";
        let tree = ModuleTree::parse(dep, "", soft);
        assert_eq!(tree.closure(["ext4"]), ["k/crc32c_generic.ko", "k/ext4.ko"]);
        assert_eq!(tree.closure(["libcrc32c"]), ["k/crc32c_generic.ko", "k/libcrc32c.ko"]);
    }

    #[test]
    fn a_ring_ends() {
        assert_eq!(tree().closure(["loop"]).len(), 2);
    }

    #[test]
    fn lists_are_cut_to_what_is_kept() {
        let kept = tree().closure(["a-b"]);
        let dep = tree().dep_for(&kept);
        assert!(dep.contains("k/a-b.ko: k/c.ko k/d.ko\n") && !dep.contains("loop"), "{dep}");
        let alias = alias_for("# Aliases\nalias pci:v1* a_b\nalias pci:v2* other\n", &kept);
        assert_eq!(alias, "alias pci:v1* a_b\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(dep: String, soft: String, name: String) {
            let _ = ModuleTree::parse(&dep, &soft, &soft).closure([name.as_str()]);
        }
    }
}
