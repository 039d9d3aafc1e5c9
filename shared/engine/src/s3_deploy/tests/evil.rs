//! Archives that must be refused before anything is uploaded, and a builder that writes what no good tool would.

use std::collections::BTreeSet;

use zip::CompressionMethod::{Deflated, Stored};

use super::*;

/// An archive to the byte: every field of every record can be a lie.
pub(super) struct Crafted {
    pub(super) files: Vec<File>,
    zip64: bool,
    records: Option<u16>,
}

#[derive(Clone)]
pub(super) struct File {
    pub(super) name: Vec<u8>,
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) unpacked: u64,
    pub(super) made_by: u16,
    pub(super) attributes: u32,
    pub(super) body: Vec<u8>,
    pub(super) after: Vec<u8>,
    pub(super) offset: Option<u64>,
}

impl Crafted {
    pub(super) fn of(files: &[(&str, &[u8])]) -> Self {
        let file = |(name, body): &(&str, &[u8])| File {
            name: name.as_bytes().to_vec(),
            local_name: None,
            flags: 0x800,
            method: 0,
            crc32: crc32fast::hash(body),
            unpacked: body.len() as u64,
            made_by: 0x031e,
            attributes: 0o100_644 << 16,
            body: body.to_vec(),
            after: Vec::new(),
            offset: None,
        };
        Self { files: files.iter().map(file).collect(), zip64: false, records: None }
    }

    fn one(change: impl Fn(&mut File)) -> Vec<u8> {
        let mut crafted = Self::of(&[("good.txt", b"good"), ("bad.txt", b"bad")]);
        change(&mut crafted.files[1]);
        crafted.build()
    }

    pub(super) fn zip64(mut self) -> Self {
        self.zip64 = true;
        self
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut directory = Vec::new();
        for file in &self.files {
            let offset = file.offset.unwrap_or(out.len() as u64);
            out.extend(file.local(self.zip64));
            out.extend(&file.body);
            out.extend(&file.after);
            directory.extend(file.central(offset, file.body.len() as u64, self.zip64));
        }
        let at = out.len() as u64;
        out.extend(&directory);
        out.extend(self.end(at, directory.len() as u64));
        out
    }

    /// Local headers of `count` stored files with the same body, and the directory for them.
    pub(super) fn stored_alike(count: u64, body: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let names: Vec<String> = (0..count).map(|number| format!("f{number:04}.bin")).collect();
        let mut crafted = Self::of(&names.iter().map(|name| (name.as_str(), b"".as_slice())).collect::<Vec<_>>());
        let crc32 = crc32fast::hash(body);
        let (mut headers, mut directory, mut offset) = (Vec::new(), Vec::new(), 0);
        for file in &mut crafted.files {
            (file.crc32, file.unpacked) = (crc32, body.len() as u64);
            let header = file.local(false);
            directory.extend(file.central(offset, body.len() as u64, false));
            offset += header.len() as u64 + body.len() as u64;
            headers.push(header);
        }
        let end = crafted.end(offset, directory.len() as u64);
        directory.extend(end);
        (headers, directory)
    }

    fn end(&self, at: u64, bytes: u64) -> Vec<u8> {
        let records = self.files.len() as u64;
        let mut out = Vec::new();
        if self.zip64 {
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for value in [records, records, bytes, at] {
                out.extend(value.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend((at + bytes).to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        let (records, bytes, at) =
            if self.zip64 { (u16::MAX, u32::MAX, u32::MAX) } else { (records as u16, bytes as u32, at as u32) };
        let records = self.records.unwrap_or(records);
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend(records.to_le_bytes());
        out.extend(records.to_le_bytes());
        out.extend(bytes.to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0, 0]);
        out
    }
}

impl File {
    fn local(&self, zip64: bool) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let mut out = b"PK\x03\x04\x14\0".to_vec();
        out.extend(self.flags.to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0; 4]);
        out.extend([0; 12]);
        out.extend((name.len() as u16).to_le_bytes());
        // A local extra field, as real tools write, that the directory does not have.
        let extra: &[u8] = if zip64 { b"\x99\x99\x04\0abcd" } else { b"" };
        out.extend((extra.len() as u16).to_le_bytes());
        out.extend(name);
        out.extend(extra);
        out
    }

    fn central(&self, offset: u64, packed: u64, zip64: bool) -> Vec<u8> {
        let mut out = b"PK\x01\x02".to_vec();
        out.extend(self.made_by.to_le_bytes());
        out.extend([20, 0]);
        out.extend(self.flags.to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.crc32.to_le_bytes());
        let narrow = |value: u64| if zip64 { u32::MAX } else { value as u32 };
        out.extend(narrow(packed).to_le_bytes());
        out.extend(narrow(self.unpacked).to_le_bytes());
        let mut extra = Vec::new();
        if zip64 {
            extra.extend(b"\x01\0\x18\0");
            for value in [self.unpacked, packed, offset] {
                extra.extend(value.to_le_bytes());
            }
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend((extra.len() as u16).to_le_bytes());
        out.extend([0; 6]);
        out.extend(self.attributes.to_le_bytes());
        out.extend(narrow(offset).to_le_bytes());
        out.extend(&self.name);
        out.extend(extra);
        out
    }
}

/// Deploys the archive, which must be refused with nothing uploaded.
fn refused(archive: Vec<u8>) -> ArchiveRefused {
    let objects = buckets();
    store(&objects, archive);
    match run(&objects, &request(&[])) {
        Err(DeployFailed::Archive(refused)) => {
            assert!(objects.keys("site").is_empty(), "{refused}: something was uploaded");
            assert_eq!(objects.open_uploads(), 0);
            refused
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let long = "x/".repeat(600);
    let cases = [
        ("../bad.txt", ".."),
        ("a/../../bad.txt", ".."),
        ("a/..", ".."),
        ("../", ".."),
        ("/etc/passwd", "absolute"),
        ("C:/bad.txt", "absolute"),
        ("C:\\bad.txt", "backslash"),
        ("..\\bad.txt", "backslash"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("", "without a name"),
        (".", "that of a folder"),
        ("./.", "that of a folder"),
        ("a/.", "that of a folder"),
        (long.as_str(), "1024"),
    ];
    for (name, expected) in cases {
        let refused = refused(Crafted::one(|file| file.name = name.as_bytes().to_vec()));
        let text = refused.to_string();
        assert!(matches!(refused, ArchiveRefused::Name { .. }) && text.contains(expected), "{name:?}: {text}");
        assert!(text.len() < 400, "{text}");
    }
    let latin = refused(Crafted::one(|file| file.name = b"b\xe4d.txt".to_vec()));
    assert!(latin.to_string().contains("UTF-8"), "{latin}");
}

#[test]
fn the_prefix_counts_towards_the_keys_length() {
    let objects = buckets();
    let name = "n".repeat(1000);
    store(&objects, zip_of(&[("ok", b"1"), (&name, b"2")], Stored));
    let error = run(&objects, &request(&[("ObjectKey", &"p".repeat(30))])).unwrap_err();
    assert!(error.to_string().contains("ObjectKey"), "{error}");
    assert!(objects.keys("site").is_empty());
}

#[test]
fn entries_that_are_no_plain_files_are_refused() {
    for kind in [0o120_777, 0o020_644, 0o010_644, 0o140_755] {
        let link = refused(Crafted::one(|file| file.attributes = kind << 16));
        assert_eq!(link, ArchiveRefused::NotAFile("bad.txt".to_owned()));
    }
    for flags in [0x0001, 0x0041, 0x2000] {
        assert!(matches!(refused(Crafted::one(|file| file.flags = flags)), ArchiveRefused::Encrypted(_)));
    }
    for method in [1, 9, 12, 14, 93, 99] {
        let by = refused(Crafted::one(|file| file.method = method));
        assert_eq!(by, ArchiveRefused::Method { name: "bad.txt".to_owned(), method });
    }
    for twice in ["good.txt", "./good.txt"] {
        let duplicate = refused(Crafted::one(|file| file.name = twice.as_bytes().to_vec()));
        assert_eq!(duplicate, ArchiveRefused::Duplicate("good.txt".to_owned()));
    }
}

#[test]
fn bombs_are_refused_by_what_they_declare_and_by_what_they_do() {
    let declared = refused(
        Crafted::of(&[("a", b"")])
            .with(|file| {
                (file.method, file.unpacked, file.body) = (8, 300 * 1024 * 1024, vec![0; 1000]);
            })
            .build(),
    );
    assert!(matches!(declared, ArchiveRefused::Bomb { .. }), "{declared}");
    let huge = refused(
        Crafted::of(&[("a", b""), ("b", b"")])
            .zip64()
            .with(|file| {
                (file.method, file.unpacked, file.body) = (8, u64::MAX - 1, vec![0; 1000]);
            })
            .build(),
    );
    assert!(matches!(huge, ArchiveRefused::Bomb { .. }), "{huge}");

    // Declares ten bytes, inflates to a million.
    let zeros = deflated(&vec![0; 1_000_000]);
    let liar = refused(Crafted::one(|file| {
        (file.method, file.unpacked, file.body) = (8, 10, zeros.clone());
    }));
    assert!(liar.to_string().contains("longer than declared"), "{liar}");
    let stored_liar = refused(Crafted::one(|file| file.unpacked = 2));
    assert!(stored_liar.to_string().contains("sizes differ"), "{stored_liar}");

    // Entries that share one body unfold without end.
    let overlapping = refused(Crafted::one(|file| file.offset = Some(3)));
    assert!(overlapping.to_string().contains("reaches into"), "{overlapping}");
}

impl Crafted {
    fn with(mut self, change: impl Fn(&mut File)) -> Self {
        self.files.iter_mut().for_each(change);
        self
    }
}

fn deflated(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(body).unwrap();
    writer.finish().unwrap()
}

#[test]
fn damage_in_a_file_is_found_before_the_first_upload() {
    let body = deflated(b"a body of some length, of some length");
    let damage = |change: &dyn Fn(&mut File)| {
        refused(Crafted::one(|file| {
            (file.method, file.body) = (8, body.clone());
            (file.unpacked, file.crc32) = (37, crc32fast::hash(b"a body of some length, of some length"));
            change(file);
        }))
        .to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut File);
    let cases: [(Change<'_>, &str); 7] = [
        (&|file| file.crc32 ^= 1, "checksum"),
        (&|file| file.unpacked = 38, "shorter than declared"),
        (&|file| file.unpacked = 36, "longer than declared"),
        (&|file| file.body.push(0), "something follows"),
        (&|file| file.body.truncate(file.body.len() - 1), "ends early"),
        (&|file| file.body = vec![0xff; 30], "broken"),
        (&|file| file.local_name = Some(b"worse.txt".to_vec()), "does not agree"),
    ];
    for (change, expected) in cases {
        let text = damage(change);
        assert!(text.contains(expected), "{text} lacks {expected}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let files: [(&str, &[u8]); 3] = [("a.txt", b"hello hello hello"), ("b/", b""), ("b/c.txt", b"world")];
    for archive in [zip_of(&files, Deflated), Crafted::of(&files[..1]).zip64().build()] {
        for length in 0..archive.len() {
            let cut = refused(archive[..length].to_vec());
            assert!(matches!(cut, ArchiveRefused::NotAZip(_)), "{length}: {cut}");
        }
    }
    refused(b"<html>not a zip</html>".to_vec());
    assert_eq!(refused(zip_of(&[], Stored)), ArchiveRefused::Empty);
    assert_eq!(refused(zip_of(&[("only/", b"")], Stored)), ArchiveRefused::Empty);
}

#[test]
fn too_many_entries_are_refused_without_reading_them() {
    let mut crafted = Crafted::of(&[("a", b"1")]).zip64();
    let mut archive = crafted.build();
    let count = archive.len() - 22 - 20 - 56 + 24;
    for at in [count, count + 8] {
        archive[at..at + 8].copy_from_slice(&(FILES_MAX + 1).to_le_bytes());
    }
    assert_eq!(refused(archive), ArchiveRefused::TooManyFiles(FILES_MAX + 1));
    (crafted.zip64, crafted.records) = (false, Some(9));
    assert!(matches!(refused(crafted.build()), ArchiveRefused::NotAZip(_)));
}

/// Every bit of a small archive flipped: refused or deployed as it says, never a panic, a hang or a key elsewhere.
#[test]
fn no_single_flipped_bit_does_harm() {
    let files: [(&str, &[u8]); 2] = [("a.txt", b"hello hello hello hello"), ("b/c.txt", b"world")];
    for archive in [zip_of(&files, Deflated), Crafted::of(&files).zip64().build()] {
        let mut messages = BTreeSet::new();
        for bit in 0..archive.len() * 8 {
            let mut flipped = archive.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let objects = buckets();
            store(&objects, flipped);
            match run(&objects, &request(&[])) {
                Ok(_) => {
                    for key in objects.keys("site") {
                        assert!(!key.starts_with('/') && !key.contains(".."), "{key}");
                        let body = objects.content("site", &key).unwrap();
                        assert!(files.iter().any(|(_, good)| body == *good), "bit {bit} changed {key}");
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), FailureKind::JobFailed, "{error}");
                    assert!(objects.keys("site").is_empty(), "bit {bit}: {error}");
                    messages.insert(error.to_string());
                }
            }
        }
        assert!(messages.len() > 10, "{messages:#?}");
    }
}
