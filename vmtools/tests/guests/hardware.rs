//! Every kind of machine that we can describe is one that QEMU accepts.

use std::path::Path;

use vmtools::{
    Boot, Cancel, Disk, DiskFormat, Firmware, Gpu, GuestStatus, Machine, Made, Medium, UsbId, find_firmware, make_disk,
};

use crate::boot_sector;
use crate::harness::{machine, plan};

#[tokio::test(flavor = "multi_thread")]
async fn qemu_accepts_every_machine() {
    for gpu in [Gpu::Std, Gpu::Virtio] {
        for medium in [Medium::Cd, Medium::Usb] {
            let mut plan = plan(Machine { gpu, medium, cpus: 2, ..machine() }, Boot::Nothing);
            let made = |name: &str, made: Made| {
                let file = plan.dir.path().join(format!("a, {name}.qcow2"));
                let disk = Disk { name: name.into(), file, format: DiskFormat::Qcow2, made };
                make_disk(Path::new("qemu-img"), &disk, &Cancel::new()).unwrap();
                disk
            };
            let below = made("below", Made::Empty { bytes: 1 << 20 });
            let over = made("over", Made::Over { image: below.file, format: DiskFormat::Qcow2 });
            plan.plan.machine.disks = vec![made("disk", Made::Empty { bytes: 1 << 30 }), over];
            let iso = plan.dir.path().join("extra, too.iso");
            std::fs::write(&iso, vec![0; 1 << 20]).unwrap();
            plan.plan.machine.extra_iso = Some(iso);
            plan.plan.machine.usb = vec![UsbId { vendor: 0xfffe, product: 0xfffe }];
            plan.plan.machine.extra = vec!["-device".into(), "edu".into()];
            plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::ECHO));
            let mut guest = plan.start().await.unwrap();
            guest.until_status(&GuestStatus::Running).await;
            guest.wait("a picture", |g| g.screen.live()).await;
            assert_eq!(guest.handle.end(|_, _| {}).await.status, GuestStatus::Ended);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uefi_comes_up_with_its_own_variables() {
    let firmware = find_firmware(Path::new("/")).expect("this test needs UEFI firmware");
    let template = std::fs::read(&firmware.vars).unwrap();
    let machine = Machine { firmware: Firmware::Uefi, gpu: Gpu::Virtio, ..machine() };
    let mut without = plan(machine.clone(), Boot::Nothing);
    assert!(without.plan.firmware.is_none());
    without.plan.machine.name = "no firmware".into();
    assert!(without.start().await.is_err_and(|error| error.to_string().contains("no UEFI firmware")));
    let mut plan = plan(machine, Boot::Nothing);
    plan.plan.firmware = Some(firmware.clone());
    let mut guest = plan.start().await.unwrap();
    guest.until_status(&GuestStatus::Running).await;
    let vars = guest.runtime.join("vars.fd");
    // The firmware writes its boot entries into its own copy, and never into the template.
    guest.wait("the firmware's variables", |_| std::fs::read(&vars).is_ok_and(|now| now != template)).await;
    assert_eq!(std::fs::read(&firmware.vars).unwrap(), template);
    guest.wait("the firmware's screen", |g| g.screen.snapshot().is_some_and(|f| !f.is_uniform())).await;
    guest.handle.end(|_, _| {}).await;
}
