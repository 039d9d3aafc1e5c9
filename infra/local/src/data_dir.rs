//! The data directory: one process at a time, and never an older program on newer data.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Version of the directory's layout. Raised when an older program could not read what a newer one writes.
const VERSION: u32 = 1;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It belongs to a newer release.
    #[error(
        "{path} was written by a newer version of Lastgood (layout {found}, this one knows {VERSION}). \
         Use that version, or choose another directory with --data"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
    /// Another process works on it.
    #[error("{0} is in use by another process. Stop that one, or choose another directory with --data")]
    InUse(PathBuf),
    /// It is something else.
    #[error("{0} holds other files than Lastgood's. Choose an empty or new directory with --data")]
    Foreign(PathBuf),
    /// The file system refuses.
    #[error("{path} cannot be used: {source}. Check its permissions, or choose another directory with --data")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A data directory that is this process's alone, until dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Held, not read: the operating system frees the lock however the process ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let version = path.join("VERSION");
        if !version.exists() && std::fs::read_dir(path).map_err(io)?.next().is_some() {
            return Err(DataDirError::Foreign(path.to_owned()));
        }
        let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&version).map_err(io)?;
        if lock.try_lock().is_err() {
            return Err(DataDirError::InUse(path.to_owned()));
        }
        match std::fs::read_to_string(&version).map_err(io)?.trim() {
            "" => std::fs::write(&version, format!("{VERSION}\n")).map_err(io)?,
            found => match found.parse::<u32>() {
                Ok(found) if found > VERSION => {
                    return Err(DataDirError::Newer { path: path.to_owned(), found });
                }
                Ok(_) => {}
                Err(_) => return Err(DataDirError::Foreign(path.to_owned())),
            },
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The part of the directory that belongs to `service`.
    pub(crate) fn of(&self, service: &str) -> PathBuf {
        self.path.join(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_foreign_and_busy_directories_are_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours");
        let held = DataDir::open(&ours).unwrap();
        let refused = |path: &Path| DataDir::open(path).unwrap_err().to_string();
        assert!(refused(&ours).contains("in use"));
        drop(held);
        assert!(DataDir::open(&ours).is_ok());
        std::fs::write(ours.join("VERSION"), "2\n").unwrap();
        assert!(refused(&ours).contains("newer version"));
        let foreign = dir.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis.tex"), "").unwrap();
        assert!(refused(&foreign).contains("other files"));
    }
}
