//! What the kernel says of one block device in `/sys/class/block/NAME`, as text.

/// One block device: a disk, a partition, or anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockFacts {
    /// Its name.
    pub name: String,
    /// Where the link leads: `../../devices/pci0000:00/…/block/sdb/sdb1`.
    pub link: String,
    /// `dev`: "8:17".
    pub dev: String,
    /// `size`, in units of 512 bytes whatever the disk's block is.
    pub size: String,
    /// `ro`: "1" for what cannot be written to.
    pub ro: String,
    /// `removable`: "1" for a medium that can be taken out.
    pub removable: String,
    /// `diskseq`.
    pub diskseq: String,
    /// `queue/logical_block_size`.
    pub block: String,
    /// `partition`: the number; empty for what is no partition.
    pub partition: String,
    /// `device/vendor`.
    pub vendor: String,
    /// `device/model`, or `device/name` of a card.
    pub model: String,
    /// `device/type`: of SCSI a number (5 is a disc drive), of cards "SD" or "MMC".
    pub kind: String,
    /// The names in `holders`: what stands on it.
    pub holders: Vec<String>,
    /// `dm/name`, of the device mapper's.
    pub mapped: String,
    /// `loop/backing_file`, of loop devices.
    pub backing: String,
}
