//! What a file has besides its content and its mode: access control lists and other extended attributes (xattr(7), acl(5)).

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// Who may do what with the file, beyond its mode. A new file may have got one of its folder's.
const ACL: &CStr = c"system.posix_acl_access";
/// What these say is true of the old content alone: a signature, a hash. Rights of a program the kernel takes from what is written to.
const OF_CONTENT: [&CStr; 2] = [c"security.evm", c"security.ima"];

/// Gives `new` what the file at `old`, which is no link, has, where it can be kept.
///
/// # Errors
/// The access control list cannot be read or set.
pub(crate) fn keep_attributes(old: &Path, new: &File) -> io::Result<()> {
    let names = match whole(|room| llistxattr(old, room)) {
        Ok(names) => names,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let names = || names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    if !names().any(|name| name == ACL) {
        match fremovexattr(new, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(named(ACL, error)),
        }
    }
    for name in names().filter(|name| !OF_CONTENT.contains(name)) {
        let set = whole(|room| lgetxattr(old, name, room))
            .and_then(|value| fsetxattr(new, name, &value, XattrFlags::empty()));
        match set {
            // It went meanwhile.
            Ok(()) | Err(Errno::NODATA) => {}
            // Who may read it must stay so; of the rest is kept what can be.
            Err(error) if name == ACL => return Err(named(name, error)),
            Err(_) => {}
        }
    }
    Ok(())
}

fn named(name: &CStr, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("its attribute {} cannot be kept: {error}", name.to_string_lossy()))
}

/// What `read` yields, which is never longer (xattr(7), `XATTR_SIZE_MAX` and `XATTR_LIST_MAX`).
fn whole(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut value = vec![0; 64 * 1024];
    let length = read(&mut value)?;
    value.truncate(length);
    Ok(value)
}
