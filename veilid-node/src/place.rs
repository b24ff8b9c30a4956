// SPDX-License-Identifier: MPL-2.0
//! What lies in the file system: directories of this user alone, the lock of a
//! state directory, the socket. Errors are sentences.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The first line of a file that holds a password.
pub fn read_secret(path: &Path) -> Result<String, String> {
    let fail = |e: io::Error| format!("cannot read {}: {e}", path.display());
    closed_to_others(path)?;
    let text = fs::read_to_string(path).map_err(fail)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("{} has no password in its first line", path.display())),
    }
}

/// Makes the state directory if need be, and holds it: two nodes with the same keys
/// would take each other's messages. The lock lasts as long as what is returned.
pub fn hold_state(dir: &Path) -> Result<File, String> {
    let fail = |e: io::Error| format!("cannot use {}: {e}", dir.display());
    let name = dir.join("lock");
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    closed_to_others(dir)?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600)
        .open(&name).map_err(fail)?;
    same_owner(dir, &name)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another node uses {} already", dir.display()))
        }
        Err(TryLockError::Error(e)) => Err(fail(e)),
    }
}

/// A listening socket, whose file goes when this does.
pub struct Socket {
    pub listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens at path. Whoever reaches the socket commands the node, so its directory has
/// to be this user's and closed to others; the socket is so too.
pub fn listen(path: &Path) -> Result<Socket, String> {
    let fail = |e: io::Error| format!("cannot listen at {}: {e}", path.display());
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    closed_to_others(dir)?;
    make_room(path)?;
    let listener = UnixListener::bind(path).map_err(fail)?;
    let socket = Socket { listener, path: path.to_owned() };
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
    same_owner(dir, path)?;
    Ok(socket)
}

/// Removes the socket that a killed node has left.
fn make_room(path: &Path) -> Result<(), String> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(format!("{} is there already and no socket", path.display()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(format!("another node listens at {} already", path.display()));
    }
    fs::remove_file(path).map_err(|e| format!("cannot remove {}: {e}", path.display()))
}

fn closed_to_others(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|e| format!("cannot use {}: {e}", path.display()))?;
    if found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(if found.is_dir() {
        format!("{} is open to others: it takes a directory of mode 0700", path.display())
    } else {
        format!("{} is open to others; chmod 0600 closes it", path.display())
    })
}

/// The owner of a file just made is who runs this.
fn same_owner(dir: &Path, made: &Path) -> Result<(), String> {
    let owner = |p: &Path| {
        fs::metadata(p).map(|m| m.uid()).map_err(|e| format!("cannot use {}: {e}", p.display()))
    };
    if owner(dir)? == owner(made)? {
        Ok(())
    } else {
        Err(format!("{} belongs to another user", dir.display()))
    }
}
