//! Disk space, reserved before it is needed. The other of the two places with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::Error;

/// Grows `file` to at least `bytes` of zeros that are really there, so that a later write neither
/// changes its length nor runs out of space.
///
/// # Errors
/// Those of the system.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let length =
        libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        // SAFETY: no memory is passed; the descriptor is open for as long as `file` is borrowed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => return Ok(()),
            libc::EINTR => {}
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Bytes that an ordinary account may still write on the disk of `folder`.
///
/// # Errors
/// Those of the system.
pub fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let failed = |source| Error::io("look at the disk of", folder, source);
    let name = CString::new(folder.as_os_str().as_bytes());
    let name = name.map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
    // SAFETY: plain numbers, for which all zeros is a value.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the name ends with a zero, and the result is large enough; both outlive the call.
    if unsafe { libc::statvfs(name.as_ptr(), &raw mut found) } != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
