//! How much memory this process has.

use std::fs;

use serde::Serialize;

/// Memory at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    pub(super) when: String,
    /// Uploads until then.
    pub(super) uploads: u32,
    /// Resident, in kB; absent where the system does not say.
    pub(super) resident_kb: Option<u64>,
    /// Written to disk by then, in bytes.
    pub(super) disk_bytes: u64,
}

/// What is resident now, as Linux says; other systems have no such file.
pub(super) fn resident_kb() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Bytes of all files below `folder`. What goes meanwhile counts nothing.
pub(super) fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_part_is_read() {
        assert_eq!(parse("Name:\txtask\nVmHWM:\t  900 kB\nVmRSS:\t  81234 kB\n"), Some(81234));
        assert_eq!(parse("Name:\txtask\n"), None);
    }

    #[test]
    fn files_of_all_depths_count() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("inner")).expect("made");
        fs::write(folder.path().join("a"), "12345").expect("written");
        fs::write(folder.path().join("inner/b"), "123").expect("written");
        assert_eq!(bytes_below(folder.path()), 8);
    }
}
