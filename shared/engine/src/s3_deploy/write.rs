//! An archive of one small file, as artifacts are.

/// Version of the format that a reader needs for a stored file: 2.0.
const VERSION: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the first day that archives can tell: the same content makes the same bytes.
const DATE: u16 = (1 << 5) | 1;

/// An archive with `content` as its only file, called `name`, stored as it is.
///
/// Both are shorter than 64 KiB and 4 GiB; anything longer makes no archive, and is nothing that a caller in this crate has.
pub(crate) fn archive_of(name: &str, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let name_bytes = u16::try_from(name.len()).unwrap_or(u16::MAX);
    // What the header of the file and its entry in the directory have in common.
    let mut common = Vec::new();
    for short in [VERSION, FLAGS, 0, 0, DATE] {
        common.extend(short.to_le_bytes());
    }
    for long in [crc32fast::hash(content), size, size] {
        common.extend(long.to_le_bytes());
    }
    common.extend(name_bytes.to_le_bytes());
    common.extend(0_u16.to_le_bytes());

    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&common);
    archive.extend(name.as_bytes());
    archive.extend(content);
    let directory = archive.len();

    archive.extend(b"PK\x01\x02");
    archive.extend(VERSION.to_le_bytes());
    archive.extend(&common);
    // Comment, disk, and both kinds of attributes: none. The file's header is at the beginning.
    archive.extend([0; 14]);
    archive.extend(name.as_bytes());
    let directory_bytes = archive.len() - directory;

    archive.extend(b"PK\x05\x06");
    for short in [0_u16, 0, 1, 1] {
        archive.extend(short.to_le_bytes());
    }
    for long in [directory_bytes, directory] {
        archive.extend(u32::try_from(long).unwrap_or(u32::MAX).to_le_bytes());
    }
    archive.extend(0_u16.to_le_bytes());
    archive
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn others_read_what_is_written() {
        for content in ["", "{\"color\":\"grün\"}"] {
            let archive = archive_of("output.json", content.as_bytes());
            let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
            assert_eq!(archive.len(), 1);
            let mut read = String::new();
            archive.by_name("output.json").unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, content);
        }
    }
}
