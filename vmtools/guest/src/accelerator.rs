//! What runs us: the hypervisor's signature in CPUID leaf 0x4000_0000 (Linux `arch/x86/kernel/cpu/hypervisor.c`).

/// The word for what runs this machine: `tcg`, `kvm`, another hypervisor's name, or `hardware`.
pub(crate) fn detect() -> &'static str {
    // Leaf 1, ECX bit 31 is set by every hypervisor and by no processor.
    if leaf(1)[2] >> 31 == 0 {
        return "hardware";
    }
    // With Hyper-V enlightenments KVM moves its own leaf up by 0x100.
    match (name(&signature(0x4000_0000)), name(&signature(0x4000_0100))) {
        ("hyperv" | "unknown", "kvm") => "kvm",
        (first, _) => first,
    }
}

fn name(signature: &[u8; 12]) -> &'static str {
    match signature {
        b"TCGTCGTCGTCG" => "tcg",
        b"KVMKVMKVM\0\0\0" => "kvm",
        b"Microsoft Hv" => "hyperv",
        b"VMwareVMware" => "vmware",
        b"XenVMMXenVMM" => "xen",
        b"VBoxVBoxVBox" => "virtualbox",
        b"bhyve bhyve " => "bhyve",
        _ => "unknown",
    }
}

fn signature(number: u32) -> [u8; 12] {
    let [_, b, c, d] = leaf(number);
    let mut bytes = [0; 12];
    for (place, word) in bytes.chunks_exact_mut(4).zip([b, c, d]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn leaf(number: u32) -> [u32; 4] {
    let it = core::arch::x86_64::__cpuid(number);
    [it.eax, it.ebx, it.ecx, it.edx]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_signatures() {
        assert_eq!(name(b"TCGTCGTCGTCG"), "tcg");
        assert_eq!(name(b"KVMKVMKVM\0\0\0"), "kvm");
        assert_eq!(name(&[0; 12]), "unknown");
        assert!(!detect().is_empty());
    }
}
