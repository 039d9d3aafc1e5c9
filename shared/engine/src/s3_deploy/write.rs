//! Writes archives: of one small file, or of the files of another archive, packed as they are.

use bytes::{Bytes, BytesMut};

use super::{
    DeployFailed, PART_BYTES, READ_BYTES,
    archive::Archive,
    directory::{ArchiveRefused, Entry, Method, read_directory},
    entry::EntryReader,
    not_read,
};
use crate::ports::objects::{ObjectAt, Objects, ObjectsError, Part, PutOptions, Upload};

/// Version of the format that a reader needs: 2.0, and 4.5 where there is a zip64 record.
const VERSION: u16 = 20;
const VERSION64: u16 = 45;
/// Made on Unix, whose permissions are in the directory.
const MADE_BY: u16 = (3 << 8) | VERSION64;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the first day that archives can tell: the same content makes the same bytes.
const DATE: u16 = (1 << 5) | 1;
/// A file that everybody reads and its owner writes.
const PLAIN: u32 = 0o100_644;

/// An archive with `content`, of at most 4 GiB, as its only file, called `name`, stored as it is.
pub(crate) fn archive_of(name: &str, content: &[u8]) -> Vec<u8> {
    let size = content.len() as u64;
    let header =
        Header { method: Method::Stored, crc32: crc32fast::hash(content), packed: size, unpacked: size, mode: PLAIN };
    let mut archive = header.local(name);
    archive.extend(content);
    let directory = header.central(name, 0);
    let at = archive.len() as u64;
    archive.extend(&directory);
    archive.extend(end_of(1, at, directory.len() as u64));
    archive
}

/// Makes of the archive at `from`, whose files are all in one folder, one at `to` that has them without the folder. It is
/// checked as one that is deployed; names and sizes alone are looked at, content whenever it is read.
///
/// # Errors
/// [`DeployFailed`]; nothing is at `to` then.
pub(crate) async fn repack<O: Objects>(
    objects: &O,
    from: &ObjectAt,
    to: &ObjectAt,
    options: &PutOptions,
) -> Result<(), DeployFailed> {
    let info = objects.head(from, None).await.map_err(DeployFailed::Artifact)?;
    let archive = Archive::new(objects, info.pin(from), info.size);
    let entries = read_directory(&archive).await.map_err(not_read)?;
    let names = names_below(&entries)?;
    let mut writer = Writer::new(objects, to, options);
    match write_all(&archive, &entries, &names, &mut writer).await {
        Ok(()) => writer.finish().await.map_err(DeployFailed::Target),
        Err(error) => {
            writer.give_up().await;
            Err(error)
        }
    }
}

/// The names of files below the folder that all are in.
fn names_below(entries: &[Entry]) -> Result<Vec<&str>, ArchiveRefused> {
    let root = entries.first().and_then(|entry| entry.name.split_once('/')).map(|(root, _)| root);
    let below = |entry: &'_ Entry| match entry.name.split_once('/') {
        Some((folder, _)) if Some(folder) == root => Ok(()),
        _ => Err(ArchiveRefused::Name {
            name: entry.name.chars().take(120).collect(),
            reason: "that is not in the one folder all others are in",
        }),
    };
    entries.iter().try_for_each(below)?;
    Ok(entries.iter().filter_map(|entry| entry.name.split_once('/')).map(|(_, name)| name).collect())
}

async fn write_all<O: Objects>(
    archive: &Archive<'_, O>,
    entries: &[Entry],
    names: &[&str],
    writer: &mut Writer<'_, O>,
) -> Result<(), DeployFailed> {
    let mut directory = Vec::new();
    for (entry, name) in entries.iter().zip(names) {
        let header = Header {
            method: entry.method,
            crc32: entry.crc32,
            packed: entry.packed_bytes,
            unpacked: entry.unpacked_bytes,
            mode: entry.mode.unwrap_or(PLAIN),
        };
        let at = writer.written();
        // The format's narrow fields hold them: an archive is at most a quarter of that, and packs at most so much.
        if entry.unpacked_bytes >= u64::from(u32::MAX) || at >= u64::from(u32::MAX) {
            let (unpacked, packed) = (entry.unpacked_bytes, entry.packed_bytes);
            return Err(ArchiveRefused::Bomb { unpacked, packed }.into());
        }
        directory.extend(header.central(name, at));
        writer.write(&header.local(name)).await.map_err(DeployFailed::Target)?;
        let data = EntryReader::open(archive, entry).await.map_err(not_read)?.packed();
        let mut position = data.start;
        while position < data.end {
            let next = (position + READ_BYTES).min(data.end);
            let piece = archive.read(position..next).await.map_err(DeployFailed::Artifact)?;
            writer.write(&piece).await.map_err(DeployFailed::Target)?;
            position = next;
        }
    }
    let at = writer.written();
    writer.write(&directory).await.map_err(DeployFailed::Target)?;
    let end = end_of(entries.len() as u64, at, directory.len() as u64);
    writer.write(&end).await.map_err(DeployFailed::Target)
}

/// What an archive says of one file. Sizes are below 4 GiB.
struct Header {
    method: Method,
    crc32: u32,
    packed: u64,
    unpacked: u64,
    /// As Unix has it.
    mode: u32,
}

impl Header {
    /// Before the file's content (4.3.7).
    fn local(&self, name: &str) -> Vec<u8> {
        [b"PK\x03\x04".as_slice(), &self.common(name), name.as_bytes()].concat()
    }

    /// In the directory (4.3.12). Comment and disk: none.
    fn central(&self, name: &str, at: u64) -> Vec<u8> {
        let attributes = (self.mode << 16).to_le_bytes();
        [
            b"PK\x01\x02".as_slice(),
            &MADE_BY.to_le_bytes(),
            &self.common(name),
            &[0; 6],
            &attributes,
            &narrow(at),
            name.as_bytes(),
        ]
        .concat()
    }

    /// What both have in common, from the version to the length of the extra field, which there is none of.
    fn common(&self, name: &str) -> Vec<u8> {
        let method: u16 = match self.method {
            Method::Stored => 0,
            Method::Deflated => 8,
        };
        let name_bytes = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let mut common = Vec::new();
        for short in [VERSION, FLAGS, method, 0, DATE] {
            common.extend(short.to_le_bytes());
        }
        common.extend(self.crc32.to_le_bytes());
        common.extend(narrow(self.packed));
        common.extend(narrow(self.unpacked));
        common.extend(name_bytes.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        common
    }
}

/// The end records of an archive of so many files, whose directory is `at` and takes so many bytes (4.3.14 to 4.3.16).
fn end_of(files: u64, at: u64, bytes: u64) -> Vec<u8> {
    let mut end = Vec::new();
    if files >= u64::from(u16::MAX) {
        // The rest of this record has 44 bytes.
        end.extend(b"PK\x06\x06");
        end.extend(44_u64.to_le_bytes());
        end.extend(MADE_BY.to_le_bytes());
        end.extend(VERSION64.to_le_bytes());
        end.extend([0; 8]);
        for long in [files, files, bytes, at] {
            end.extend(long.to_le_bytes());
        }
        end.extend(b"PK\x06\x07");
        end.extend([0; 4]);
        end.extend((at + bytes).to_le_bytes());
        end.extend(1_u32.to_le_bytes());
    }
    let count = u16::try_from(files).unwrap_or(u16::MAX);
    end.extend(b"PK\x05\x06");
    end.extend([0; 4]);
    end.extend(count.to_le_bytes());
    end.extend(count.to_le_bytes());
    end.extend(narrow(bytes));
    end.extend(narrow(at));
    end.extend(0_u16.to_le_bytes());
    end
}

fn narrow(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// Writes an object of unknown length piece by piece: in one request where it is small, else in parts. Nothing is to be
/// seen before [`Writer::finish`].
pub(crate) struct Writer<'a, O> {
    objects: &'a O,
    at: &'a ObjectAt,
    options: &'a PutOptions,
    buffer: BytesMut,
    written: u64,
    upload: Option<(Upload, Vec<Part>)>,
}

impl<'a, O: Objects> Writer<'a, O> {
    pub(crate) fn new(objects: &'a O, at: &'a ObjectAt, options: &'a PutOptions) -> Self {
        Self { objects, at, options, buffer: BytesMut::new(), written: 0, upload: None }
    }

    /// Bytes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), ObjectsError> {
        self.buffer.extend_from_slice(piece);
        self.written += piece.len() as u64;
        while self.buffer.len() > PART_BYTES {
            let part = self.buffer.split_to(PART_BYTES).freeze();
            self.put_part(part).await?;
        }
        Ok(())
    }

    /// Makes the object visible. Where this fails, its parts are given up.
    pub(crate) async fn finish(mut self) -> Result<(), ObjectsError> {
        let rest = self.buffer.split().freeze();
        if self.upload.is_none() {
            return self.objects.put(self.at, rest, self.options).await.map(drop);
        }
        let mut outcome = self.put_part(rest).await;
        if let (Ok(()), Some((upload, parts))) = (&outcome, &self.upload) {
            outcome = self.objects.complete_upload(upload, parts).await.map(drop);
        }
        if outcome.is_err() {
            self.give_up().await;
        }
        outcome
    }

    pub(crate) async fn give_up(self) {
        if let Some((upload, _)) = &self.upload {
            // If this fails too, the first failure is the one to tell; a lifecycle rule removes the parts.
            let _ = self.objects.abort_upload(upload).await;
        }
    }

    async fn put_part(&mut self, body: Bytes) -> Result<(), ObjectsError> {
        if self.upload.is_none() {
            self.upload = Some((self.objects.begin_upload(self.at, self.options).await?, Vec::new()));
        }
        if let Some((upload, parts)) = &mut self.upload {
            let number = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
            parts.push(self.objects.put_part(upload, number, body).await?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use futures::executor::block_on;

    use super::*;
    use crate::ports::objects::memory::MemoryObjects;

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

    #[test]
    fn more_files_than_the_narrow_count_holds_are_read_too() {
        let header = Header { method: Method::Stored, crc32: 0, packed: 0, unpacked: 0, mode: PLAIN };
        let (mut archive, mut directory) = (Vec::new(), Vec::new());
        let files = 70_000;
        for number in 0..files {
            let name = number.to_string();
            directory.extend(header.central(&name, archive.len() as u64));
            archive.extend(header.local(&name));
        }
        let at = archive.len() as u64;
        archive.extend(&directory);
        archive.extend(end_of(files, at, directory.len() as u64));
        assert_eq!(zip::ZipArchive::new(Cursor::new(archive)).unwrap().len() as u64, files);
    }

    #[test]
    fn large_objects_are_written_in_parts_and_small_ones_at_once() {
        let objects = MemoryObjects::default();
        objects.create_bucket("b", false);
        for length in [0, 10, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 7] {
            let at = ObjectAt::new("b", length.to_string());
            let options = PutOptions::default();
            let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut writer = Writer::new(&objects, &at, &options);
            for piece in content.chunks(1_000_003) {
                block_on(writer.write(piece)).unwrap();
            }
            assert_eq!(writer.written(), length as u64);
            block_on(writer.finish()).unwrap();
            assert!(objects.content("b", &at.key).unwrap() == content, "{length}");
        }
    }
}
