//! What a session tells of a distribution's cartridge: an archiso profile with overlays, its lint and its files, a build
//! with packages, and what that changed.

use std::path::PathBuf;
use std::time::Duration;

use cartridge::session::Event;
use cartridge::session::event::{CartridgeView, Failure, FieldView, Side};
use cartridge::session::examination::LintView;
use cartridge::session::logs::Pane;
use cartridge::session::pace::Pace;
use cartridge::session::state::{Goal, Outcome, Phase, State};
use cartridge_supervise::IdMap;
use isoprep::assembly::{Node, Origin};
use isoprep::contents::{
    BootChange, Change, Difference, Direction, FileChange, FileLine, Listed, Loader, PackageLine, Sum, TreePath,
    VersionChange,
};
use isoprep::engine;
use isoprep::lint::{Edit, Fix, LintFinding, Place, RuleId, Severity};
use isoprep::mkarchiso;
use isoprep::{CacheRow, CacheView, EngineKind, FIELDS, Image, Progress, Proposed, ProposedKind, StageName, Unit};
use vmtools::GuestStatus;

use crate::display::Display;
use crate::host;
use crate::stage::Stage;
use crate::story;

/// The stages of its engine.
fn stages() -> &'static [StageName] {
    isoprep::engine::stages(EngineKind::Archiso)
}

/// A cartridge of an archiso profile.
pub fn cartridge() -> CartridgeView {
    let set = [
        ("name", "homerchy"),
        ("image.engine", "archiso"),
        ("image.base", "iso-builder/archiso/configs/releng"),
        ("image.overlays", "iso-builder/configs, iso-builder/branding"),
        ("image.remove", "airootfs/etc/systemd/system/multi-user.target.wants/reflector.service"),
        ("image.pacman_conf", "iso-builder/configs/pacman-online.conf"),
        ("image.packages", "git, gum, jq, openssl, plymouth, networkmanager, base-devel"),
        ("image.env", "{ OMARCHY_PATH = \"/root/homerchy\", OMARCHY_VM_TEST = \"1\" }"),
        ("source.exclude", "isoprep/work, isoprep/isoout"),
        ("guest.memory", "4G"),
        ("guest.firmware", "uefi"),
        ("guest.disk", "40G"),
    ];
    let fields = FIELDS
        .iter()
        .map(|doc| {
            let value = set.iter().find(|(key, _)| *key == doc.key).map(|(_, value)| *value);
            let value_or_default = value.unwrap_or(doc.default).to_owned();
            FieldView { key: doc.key.to_owned(), value: value_or_default, is_default: value.is_none(), error: None }
        })
        .collect();
    CartridgeView { fields, ..story::cartridge(false, false) }
}

/// With another engine.
fn with_engine(cartridge: CartridgeView, engine: &str) -> CartridgeView {
    with(cartridge, "image.engine", engine)
}

fn with(mut cartridge: CartridgeView, key: &str, value: &str) -> CartridgeView {
    cartridge.fields.iter_mut().filter(|it| it.key == key).for_each(|it| it.value = value.to_owned());
    cartridge
}

/// The cartridge is inserted.
pub fn inserted(stage: &mut Stage) {
    story::opened(stage);
    stage.tell(10, Event::CartridgeChanged { cartridge: cartridge() });
    stage.tell(11, Event::StateChanged { state: State { inserted: true, ..State::default() } });
    stage.tell(12, Event::Diagnosed { checks: host::ready() });
    stage.logs.pane(Pane::Session).line("inserted homerchy (/srv/distros/homerchy)");
}

fn finding(
    severity: Severity,
    rule: &'static str,
    (file, line): (&str, Option<usize>),
    what: &str,
    consequence: &str,
    fix: Option<(&str, Edit)>,
) -> LintView {
    LintView::new(LintFinding {
        rule: RuleId(rule),
        severity,
        file: file.into(),
        line,
        what: what.to_owned(),
        consequence: consequence.to_owned(),
        fix: fix.map(|(says, edit)| Fix { says: says.to_owned(), edit }),
        also: Vec::new(),
    })
}

/// What the lint finds.
pub fn lint() -> Vec<LintView> {
    let mkinitcpio = "iso-builder/configs/airootfs/etc/mkinitcpio.conf.d/archiso.conf";
    let list = "iso-builder/archiso/configs/releng/packages.x86_64";
    let mut findings = vec![
        finding(
            Severity::Error,
            "hook-without-package",
            (mkinitcpio, Some(2)),
            "HOOKS names plymouth, and no package that is installed brings that hook.",
            "mkinitcpio fails when the kernel is installed, after all packages were fetched; the image has no initramfs \
             and does not boot.",
            Some((
                "Add plymouth to image.packages",
                Edit::AddToCartridgeList { key: "image.packages".to_owned(), value: "plymouth".to_owned() },
            )),
        ),
        finding(
            Severity::Error,
            "inline-comment",
            (list, Some(17)),
            "The line \"linux  # the kernel\" has a comment behind the name.",
            "The whole line is taken for a name: pacman says that the target was not found, and the build stops.",
            Some((
                "Remove the comment",
                Edit::ReplaceLine {
                    file: list.into(),
                    line: 17,
                    old: "linux  # the kernel".to_owned(),
                    new: "linux".to_owned(),
                },
            )),
        ),
        finding(
            Severity::Error,
            "path-not-in-image",
            ("iso-builder/configs/airootfs/root/.automated_script.sh", Some(8)),
            "OMARCHY_PATH is /root/omarchy, and the repository is put in /root/homerchy.",
            "The installer does not find its files in the live system and stops.",
            None,
        ),
        finding(
            Severity::Warning,
            "script-not-executable",
            ("iso-builder/configs/airootfs/usr/local/bin/setup-disk", None),
            "The script has no executable bit.",
            "The live system cannot run it by its name.",
            Some((
                "Make it executable",
                Edit::Chmod { file: "iso-builder/configs/airootfs/usr/local/bin/setup-disk".into(), mode: 0o755 },
            )),
        ),
        finding(
            Severity::Note,
            "package-twice",
            (list, Some(41)),
            "git is listed twice.",
            "It is installed once; nothing else happens.",
            Some(("Remove the line", Edit::RemoveLine { file: list.into(), line: 41, old: "git".to_owned() })),
        ),
    ];
    findings[0].finding.also = vec![Place { file: list.into(), line: None }];
    findings
}

/// A path with what it is, its size, and where it came from: by whom, in whose place, and whether it was taken away.
type Path = (String, &'static str, u64, (Origin, Vec<Origin>, bool));

/// Where what an origin brings lies.
fn place(origin: Origin) -> PathBuf {
    PathBuf::from("/srv/distros/homerchy/iso-builder").join(match origin {
        Origin::Overlay(0) => "configs",
        Origin::Overlay(_) => "branding",
        _ => "archiso/configs/releng",
    })
}

/// The files of the profile.
pub fn tree() -> Vec<Node> {
    let base = || (Origin::Base, Vec::new(), false);
    let over = |n, replaced: &[Origin]| (Origin::Overlay(n), replaced.to_vec(), false);
    let removed = || (Origin::Base, Vec::new(), true);
    let wants = "airootfs/etc/systemd/system/multi-user.target.wants";
    let paths: Vec<Path> = vec![
        ("airootfs".into(), "folder", 0, base()),
        ("airootfs/etc".into(), "folder", 0, base()),
        ("airootfs/etc/hostname".into(), "file", 9, over(0, &[Origin::Base])),
        ("airootfs/etc/mkinitcpio.conf.d".into(), "folder", 0, base()),
        ("airootfs/etc/mkinitcpio.conf.d/archiso.conf".into(), "file", 312, over(0, &[Origin::Base])),
        ("airootfs/etc/motd".into(), "file", 518, over(1, &[Origin::Base, Origin::Overlay(0)])),
        ("airootfs/etc/profile.d".into(), "folder", 0, (Origin::Env, Vec::new(), false)),
        ("airootfs/etc/profile.d/cartridge.sh".into(), "file", 96, (Origin::Env, Vec::new(), false)),
        ("airootfs/etc/systemd".into(), "folder", 0, base()),
        ("airootfs/etc/systemd/system".into(), "folder", 0, base()),
        (wants.into(), "folder", 0, base()),
        (format!("{wants}/NetworkManager.service"), "link", 0, over(0, &[])),
        (format!("{wants}/reflector.service"), "link", 0, removed()),
        (format!("{wants}/sshd.service"), "link", 0, base()),
        ("airootfs/root".into(), "folder", 0, base()),
        ("airootfs/root/.automated_script.sh".into(), "file", 2048, over(0, &[Origin::Base])),
        ("airootfs/root/vm-env.sh".into(), "file", 74, (Origin::File, Vec::new(), false)),
        ("efiboot".into(), "folder", 0, base()),
        ("efiboot/loader".into(), "folder", 0, base()),
        ("efiboot/loader/loader.conf".into(), "file", 81, base()),
        ("packages.x86_64".into(), "file", 1421, (Origin::Packages, vec![Origin::Base], false)),
        ("pacman.conf".into(), "file", 2890, (Origin::PacmanConf, vec![Origin::Base], false)),
        ("profiledef.sh".into(), "file", 1204, over(0, &[Origin::Base])),
    ];
    let all: Vec<String> = paths.iter().map(|it| it.0.clone()).collect();
    paths
        .into_iter()
        .map(|(path, kind, size, (origin, replaced, removed))| Node {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            depth: path.matches('/').count(),
            below: all.iter().filter(|other| other.starts_with(&format!("{path}/"))).count(),
            kind,
            mode: match kind {
                "folder" => 0o755,
                "link" => 0,
                _ => 0o644,
            },
            live_mode: path.ends_with(".automated_script.sh").then_some(0o755),
            size,
            target: (kind == "link").then(|| format!("/usr/lib/systemd/system/{}", path.rsplit('/').next().unwrap())),
            origin,
            from: Some(place(origin).join(&path)),
            replaced,
            removed,
            path,
        })
        .collect()
}

/// It was looked at.
pub fn examined(stage: &mut Stage) {
    inserted(stage);
    let warnings = vec!["configs/airootfs/etc/pacman.d/hooks is in no overlay and not in the base".to_owned()];
    stage.tell(20, Event::Examined { lint: lint(), tree: tree(), warnings, failure: None });
}

/// It was looked at, and all is well.
pub fn examined_well(stage: &mut Stage) {
    inserted(stage);
    stage.tell(20, Event::Examined { lint: Vec::new(), tree: tree(), warnings: Vec::new(), failure: None });
}

/// A build stopped because of the lint.
pub fn stopped_by_lint(stage: &mut Stage) {
    examined(stage);
    let state = |phase, outcome| Event::StateChanged {
        state: State { phase, goal: Some(Goal::Build), outcome, inserted: true, ..State::default() },
    };
    stage.tell(1000, state(Phase::Preparing, None));
    stage.tell(1100, state(Phase::Building, None));
    stage.tell(1200, Event::StoppedByLint { lint: lint() });
    stage.tell(
        1201,
        Event::Failed {
            failure: Failure {
                title: "The build would fail: the lint has found errors".to_owned(),
                detail: isoprep::lint::render_text(&[lint().remove(0).finding], false),
                advice: Some("Correct them, or build anyway (without a window: --no-lint)".to_owned()),
                command: None,
                pane: Some(Pane::Build),
                exit_code: 3,
            },
        },
    );
    stage.tell(1210, state(Phase::Ejecting, Some(Outcome::Failed)));
    stage.tell(1300, story::idle(Outcome::Failed, false));
}

/// A cartridge that was found in a repository, and is not written yet.
pub fn proposed(stage: &mut Stage) {
    story::opened(stage);
    let it = |kind, key: &str, item: Option<&str>, value: &str, why: &str, from: &[&str]| Proposed {
        key: key.to_owned(),
        item: item.map(str::to_owned),
        value: value.to_owned(),
        why: why.to_owned(),
        from: from.iter().map(PathBuf::from).collect(),
        command: None,
        kind,
    };
    use ProposedKind::{Assumed, Found, Warning};
    let script = "iso-builder/builder/build-iso.sh";
    let packages = "iso-builder/builder/build-iso.sh adds to the list of packages";
    let mut submodule = it(
        Warning,
        "image.base",
        None,
        "",
        "iso-builder/archiso is a submodule that was not fetched; in the repository run: git submodule update --init -- \
         iso-builder/archiso; then base = \"iso-builder/archiso/configs/releng\" is there",
        &["iso-builder/archiso"],
    );
    submodule.command = Some("git submodule update --init -- iso-builder/archiso".to_owned());
    let proposed = vec![
        it(
            Found,
            "image.engine",
            None,
            "archiso",
            "the repository has an overlay of an archiso profile",
            &["iso-builder/configs"],
        ),
        it(Assumed, "image.base", None, "releng", "the overlay is made for it, and an archiso is installed here", &[]),
        submodule,
        it(
            Found,
            "image.overlays",
            None,
            "iso-builder/configs",
            "laid out as a profile without being a whole one: it has airootfs, efiboot, grub",
            &["iso-builder/configs"],
        ),
        it(
            Found,
            "image.remove",
            None,
            "airootfs/etc/systemd/system/multi-user.target.wants/reflector.service",
            "iso-builder/builder/build-iso.sh:42 removes it from the profile",
            &[script],
        ),
        it(
            Found,
            "image.pacman_conf",
            None,
            "iso-builder/configs/pacman-online.conf",
            "the one for a network, by its name; its repositories: core, extra, omarchy",
            &["iso-builder/configs/pacman-online.conf"],
        ),
        it(Found, "image.packages", None, "git", packages, &[script]),
        it(Found, "image.packages", None, "gum", packages, &[script]),
        it(Found, "image.packages", None, "jq", packages, &[script]),
        it(Found, "image.files", Some("/root/vm-env.sh"), "vmtools/vm-env.sh", "the live system sources it", &[]),
        it(Found, "image.env", Some("OMARCHY_VM_TEST"), "1", "vmtools/vm-env.sh sets it", &["vmtools/vm-env.sh"]),
        it(Found, "source.into", None, "/root/homerchy", "vmtools/vm-env.sh:3 sets OMARCHY_PATH to it", &[]),
        it(Assumed, "guest.disk", None, "40G", "install.sh:12 installs with archinstall: it needs a disk", &[]),
    ];
    let cartridge = CartridgeView { exists: false, proposed, ..cartridge() };
    stage.tell(10, Event::CartridgeChanged { cartridge });
    stage.tell(11, Event::StateChanged { state: State { inserted: true, ..State::default() } });
    stage.tell(12, Event::Diagnosed { checks: host::ready() });
}

fn told(progress: Progress, pace: Option<Pace>) -> Event {
    Event::BuildProgressed { progress, pace }
}

/// Packages are being installed.
pub fn building(stage: &mut Stage) {
    examined_well(stage);
    let state = |phase| Event::StateChanged {
        state: State { phase, goal: Some(Goal::Build), inserted: true, ..State::default() },
    };
    stage.tell(1000, state(Phase::Preparing));
    stage.tell(1200, state(Phase::Building));
    stage.tell(1201, told(Progress::Planned { stages: stages().to_vec() }, None));
    for (at, name, took) in [(1210, engine::ASSEMBLE, 640), (1850, engine::LINT, 90)] {
        stage.tell(at, told(Progress::Started { stage: name }, None));
        let took = Duration::from_millis(took);
        stage.tell(at + 1, told(Progress::Finished { stage: name, reused: false, took }, None));
    }
    stage.tell(1950, told(Progress::Started { stage: engine::PACKAGES }, None));
    let advanced = Progress::Advanced {
        stage: engine::PACKAGES,
        done: 23,
        total: Some(412),
        unit: Unit::Packages,
        what: Some("installing linux".to_owned()),
    };
    let pace = Some(Pace { per_second: Some(5.2), left_ms: Some(74_000) });
    stage.tell(34_000, told(advanced, pace));
    let build = stage.logs.pane(Pane::Build);
    for line in [
        "[assemble] base releng, 2 overlays, 412 packages",
        "[assemble] done in 0.64 s",
        "[lint] Nothing to say.",
        "[lint] done in 0.09 s",
        "[packages] 96 packages are in the cache, 316 are fetched (812 MB)",
        "[packages] :: Processing package changes...",
        "[packages] ( 22/412) installing mkinitcpio",
        "[packages] warning: /etc/pacman.conf installed as /etc/pacman.conf.pacnew",
        "[packages] ( 23/412) installing linux",
    ] {
        build.line(line);
    }
}

/// The image of a distribution.
pub fn image() -> Image {
    Image { bytes: 1_103_400_960, kernel_version: "6.12.8-arch1-1".to_owned(), ..story::image() }
}

/// The image boots and its guest is up: what it showed on its serial line, or told of itself.
pub fn up(stage: &mut Stage, mute: Option<&str>, showed: Event) -> Display {
    built(stage);
    if mute.is_some() {
        stage.tell(139_000, Event::CartridgeChanged { cartridge: with(cartridge(), "image.build", "release") });
    }
    let up = |phase| Event::StateChanged {
        state: State { phase, goal: Some(Goal::Boot), inserted: true, image: true, ..State::default() },
    };
    stage.tell(140_000, up(Phase::Booting));
    let mute = mute.map(str::to_owned);
    stage.tell(140_100, Event::GuestStarted { pid: 4712, command: "qemu-system-x86_64".to_owned(), mute });
    stage.tell(140_200, Event::GuestChanged { status: GuestStatus::Running });
    let serial =
        b"[  OK  ] Reached target Multi-User System.\r\n\r\nArch Linux 6.12.8-arch1-1 (ttyS0)\r\n\r\nhomerchy login: ";
    stage.logs.pane(Pane::Serial).append(serial);
    stage.logs.terminal.feed(serial);
    stage.tell(171_000, showed);
    stage.tell(171_001, up(Phase::Running));
    Display::show(&stage.screen, 1024, 768)
}

/// In what two builds differ.
pub fn difference() -> Difference {
    let mut it = Difference { bytes: Change { from: 1_100_300_288, to: 1_103_400_960 }, ..Difference::default() };
    let version = |name: &str, from: &str, to: &str, direction| VersionChange {
        name: name.to_owned(),
        version: Change { from: from.to_owned(), to: to.to_owned() },
        direction,
        size: Change { from: None, to: None },
    };
    it.packages.changed = listed(vec![
        version("linux", "6.12.7.arch1-1", "6.12.8.arch1-1", Direction::Newer),
        version("mesa", "1:24.3.2-1", "1:24.3.3-2", Direction::Newer),
        version("openssl", "3.4.0-2", "3.4.0-1", Direction::Older),
    ]);
    (it.packages.newer, it.packages.older) = (2, 1);
    let package =
        |name: &str, size| PackageLine { name: name.to_owned(), version: "24.004.60-12".into(), size: Some(size) };
    it.packages.added = listed(vec![package("plymouth", 2_310_000)]);
    it.packages.count = Change { from: 411, to: 412 };
    it.boot.changed = vec![BootChange {
        loader: Loader::SystemdBoot,
        file: path("loader/entries/01-archiso-linux.conf"),
        title: Change { from: "Homerchy".to_owned(), to: "Homerchy".to_owned() },
        kernel: None,
        initrds: None,
        words: Change { from: Vec::new(), to: vec!["quiet".to_owned(), "splash".to_owned()] },
        reordered: false,
    }];
    let line = |text: &str, size| FileLine { path: path(text), kind: "file", size, package: None };
    it.root.changed = listed(vec![
        changed("etc/mkinitcpio.conf.d/archiso.conf", Some((301, 312)), None),
        changed("root/homerchy/install.sh", Some((18_204, 18_611)), Some((0o644, 0o755))),
        changed("usr/bin/openssl", None, None),
    ]);
    it.root.changed.total = 214;
    it.root.added =
        listed(vec![line("usr/bin/plymouth", 61_000), line("usr/share/plymouth/themes/spinner/a.png", 4100)]);
    it.root.removed = listed(vec![line("root/homerchy/old.txt", 120)]);
    it.root.bytes = Change { from: 2_640_000_000, to: 2_646_200_000 };
    let sum = |added, removed, changed, growth| Sum { added, removed, changed, growth };
    it.root.folders.insert(path("usr/share"), sum(1, 0, 120, 4_100_000));
    it.root.folders.insert(path("root"), sum(0, 1, 1, 287));
    it
}

fn listed<T>(items: Vec<T>) -> Listed<T> {
    Listed { total: items.len() as u64, items }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text.as_bytes())
}

fn changed(text: &str, size: Option<(u64, u64)>, mode: Option<(u32, u32)>) -> FileChange {
    FileChange {
        path: path(text),
        kind: None,
        content: true,
        size: size.map(|(from, to)| Change { from, to }),
        mode: mode.map(|(from, to)| Change { from, to }),
        owner: None,
        target: None,
        device: None,
        attributes: Vec::new(),
        package: None,
    }
}

/// The build is done and was compared with the one before.
pub fn built(stage: &mut Stage) {
    building(stage);
    for (at, name) in stages().iter().enumerate().skip(2) {
        let took = [92_000, 900, 31_000, 700, 2100][at - 2];
        let over = Progress::Finished { stage: *name, reused: false, took: Duration::from_millis(took) };
        stage.tell(130_000 + at as u64, told(over, None));
    }
    stage.tell(131_000, Event::ImageBuilt { image: image(), took_ms: 128_400 });
    stage.tell(131_001, story::idle(Outcome::Built, true));
    stage.tell(131_002, Event::Comparing);
    stage.tell(
        131_400,
        Event::BuildCompared {
            summary: "2 packages newer, 1 package older, 1 package added, 214 files changed, image +3.0 MiB".to_owned(),
            difference: Some(Box::new(difference())),
        },
    );
}

/// What the cache holds.
pub fn cache(freed: Option<u64>) -> Event {
    let row = |what: &str, results, bytes| CacheRow { what: what.to_owned(), results, bytes };
    let rows = vec![
        row("assemble", 3, 4_200_000),
        row("packages", 2, 4_910_000_000),
        row("inject", 6, 92_000_000),
        row("squash", 2, 2_140_000_000),
        row("bootloader", 4, 61_000_000),
        row("fetched packages", 812, 1_730_000_000),
    ];
    let rows = if freed.is_some() { Vec::new() } else { rows };
    let bytes = rows.iter().map(|row| row.bytes).sum();
    let view = CacheView { rows, bytes, limit: 25_769_803_776 };
    Event::CacheViewed { path: "/home/you/.cache/cartridge/stages".into(), view, freed }
}

/// It could not be emptied.
pub fn cache_refused() -> Event {
    let failure = Failure {
        title: "The cache could not be emptied".to_owned(),
        detail: "/home/you/.cache/cartridge/stages: a build is using it".to_owned(),
        advice: Some("Wait for the build that uses it, or cancel that; nothing of the cache was removed".to_owned()),
        command: None,
        pane: None,
        exit_code: 8,
    };
    Event::SideFailed { side: Side::Cache, failure }
}

/// mkarchiso itself builds, in the way that this host lets it.
pub fn building_with_mkarchiso(stage: &mut Stage) {
    examined_well(stage);
    stage.tell(30, Event::CartridgeChanged { cartridge: with_engine(cartridge(), "mkarchiso") });
    let state = |phase| Event::StateChanged {
        state: State { phase, goal: Some(Goal::Build), inserted: true, ..State::default() },
    };
    stage.tell(1000, state(Phase::Preparing));
    stage.tell(1200, state(Phase::Building));
    stage.tell(1201, told(Progress::Planned { stages: engine::stages(EngineKind::Mkarchiso).to_vec() }, None));
    for (at, name, took) in [(1210, engine::ASSEMBLE, 640), (1850, engine::LINT, 90)] {
        let took = Duration::from_millis(took);
        stage.tell(at, told(Progress::Finished { stage: name, reused: false, took }, None));
    }
    stage.tell(1950, told(Progress::Started { stage: engine::PACKAGES }, None));
    let why = "/etc/subuid lends no ids to this user".to_owned();
    let facts = mkarchiso::Facts {
        tool: Some("/usr/bin/mkarchiso".into()),
        missing: Vec::new(),
        namespaces: mkarchiso::NamespaceFact::Work(IdMap::Single { why }),
        podman: mkarchiso::PodmanFact::Absent,
        helper: mkarchiso::HelperFact::Absent,
    };
    let chosen = mkarchiso::choose(&facts).unwrap();
    for line in chosen.sentence().lines() {
        stage.logs.pane(Pane::Build).line(&format!("[packages] {line}"));
    }
    stage.tell(2100, told(Progress::Way { stage: engine::PACKAGES, chosen }, None));
}

/// The proposal, with another engine, without one package and with a new one.
pub fn proposal_edited(stage: &mut Stage) {
    proposed(stage);
    stage.settle();
    let mut cartridge = stage.window.state().model.cartridge.clone().unwrap();
    let found = |key: &str, value: &str| cartridge.proposed.iter().any(|it| it.key == key && it.value == value);
    assert!(found("image.engine", "archiso") && found("image.packages", "gum"));
    let original = "[image]\nengine = \"archiso\"\nbase = \"releng\"\noverlays = [\"iso-builder/configs\"]\npackages = \
                    [\"git\", \"gum\", \"jq\"]\n";
    let text = original.replace("\"archiso\"", "\"mkarchiso\"").replace("\"gum\"", "\"vim\"");
    let rest = |it: &Proposed| !["image.engine", "image.base", "image.overlays", "image.packages"].contains(&&*it.key);
    let (others, these): (Vec<_>, Vec<_>) = cartridge.proposed.into_iter().partition(rest);
    cartridge.proposed = isoprep::proposal_now(&these, original, &text);
    cartridge.proposed.extend(others);
    cartridge.dirty = true;
    let cartridge = with_engine(cartridge, "mkarchiso");
    stage.tell(20, Event::CartridgeChanged { cartridge });
}
