//! Reads and checks a zip archive's directory, so that a bad archive is refused before anything is uploaded.
//!
//! Reading is by hand and strict, because what matters here is what gets refused, and the crates at hand do not refuse
//! it: rc-zip 5.4 overflows on a crafted zip64 offset, can spin on data after the end of a stream and compares record
//! counts in 16 bits; async_zip 0.0.19 allocates for whatever record count the archive claims and hides the encryption
//! flag; zip merges entries of one name silently and cannot read asynchronously. Inflating and checksums are libraries'.
//! The format is PKWARE's APPNOTE 6.3.10; section numbers below are its.

use std::collections::HashSet;

use thiserror::Error;

use super::{KEY_BYTES_MAX, archive::Archive};
use crate::ports::objects::{Objects, ObjectsError};

/// Most files in an archive: CodePipeline's limit for zip artifacts (spec 1.5).
pub const FILES_MAX: u64 = 100_000;
/// Largest directory: it is held in memory, and 100,000 entries with names of 500 bytes fit.
pub const DIRECTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes an archive may unpack to: ten times the largest source (7 GB), beyond which it is no release.
pub const UNPACKED_BYTES_MAX: u64 = 70 * 1024 * 1024 * 1024;
/// How far an archive may unfold once it unpacks to more than [`RATIO_FREE_BYTES`]: text rarely reaches 20 to 1, deflate's
/// own limit is 1032 to 1.
pub const RATIO_MAX: u64 = 200;
/// Unpacked size up to which the ratio does not matter: so little is no harm.
pub const RATIO_FREE_BYTES: u64 = 256 * 1024 * 1024;

/// Length of a local file header without name and extra field (4.3.7).
pub(super) const LOCAL_HEADER_BYTES: u64 = 30;
const CENTRAL_HEADER_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END64_LOCATOR_BYTES: usize = 20;
const END64_BYTES: usize = 56;
/// The end record's comment has a length of 16 bits.
const END_SEARCH_BYTES: u64 = END_BYTES as u64 + u16::MAX as u64;

/// How a file is stored in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

impl Method {
    pub(super) fn of(code: u16) -> Option<Self> {
        match code {
            0 => Some(Self::Stored),
            8 => Some(Self::Deflated),
            _ => None,
        }
    }
}

/// One file of the archive, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path with `/` between segments; safe to append to a prefix.
    pub(super) name: String,
    /// Length of the name as the archive spells it.
    pub(super) raw_name_bytes: u64,
    pub(super) method: Method,
    pub(super) crc32: u32,
    /// Type and permissions as Unix has them, where the archive tells.
    pub(super) mode: Option<u32>,
    pub(super) packed_bytes: u64,
    pub(super) unpacked_bytes: u64,
    /// Where the local header begins.
    pub(super) offset: u64,
    /// What the entry may not reach into: the next entry, or the directory.
    pub(super) limit: u64,
}

/// Why an archive is refused. Every text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveRefused {
    /// Not a zip, or cut off.
    #[error(
        "the artifact is no complete zip archive ({0}); it may have been cut off while it was uploaded: build it again \
         and check it with `unzip -t`, or set Extract to \"false\" to deploy it as it is"
    )]
    NotAZip(&'static str),
    /// Damaged content.
    #[error("{name:?} in the archive is damaged ({reason}); build the archive again and check it with `unzip -t`")]
    Damaged {
        /// Name of the entry.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// A name that leads elsewhere, or nowhere.
    #[error("the archive has an entry {name:?} {reason}")]
    Name {
        /// Name of the entry, cut if long.
        name: String,
        /// What is wrong and what to do.
        reason: &'static str,
    },
    /// Link, device, pipe or socket.
    #[error(
        "{0:?} in the archive is a symbolic link or special file; put the file itself in (`zip` does so without -y)"
    )]
    NotAFile(String),
    /// The same name twice.
    #[error("the archive has {0:?} twice; which one is meant is unclear: build it again with one")]
    Duplicate(String),
    /// Password needed.
    #[error("{0:?} in the archive is encrypted; build the archive without a password")]
    Encrypted(String),
    /// Only stored and deflated can be read.
    #[error("{name:?} in the archive is compressed by method {method}; use deflate (the default of `zip`) or none")]
    Method {
        /// Name of the entry.
        name: String,
        /// Method number of the zip format.
        method: u16,
    },
    /// Too many files.
    #[error("the archive has {0} entries, more than {FILES_MAX}; split the deployment, or set Extract to \"false\"")]
    TooManyFiles(u64),
    /// Directory too long to hold.
    #[error(
        "the archive's directory has {0} bytes, more than {DIRECTORY_BYTES_MAX}; shorten names and comments, or split the deployment"
    )]
    DirectoryTooLarge(u64),
    /// Unpacks to too much.
    #[error(
        "the archive unpacks to {unpacked} bytes from {packed}: more than {UNPACKED_BYTES_MAX} bytes, or more than {RATIO_MAX} to 1, is taken for a zip bomb; split the deployment or store the files uncompressed"
    )]
    Bomb {
        /// Bytes when unpacked, as declared.
        unpacked: u64,
        /// Bytes in the archive.
        packed: u64,
    },
    /// Nothing in it.
    #[error("the archive holds no files; check what the step before puts into its artifact")]
    Empty,
}

/// Why there is no directory.
#[derive(Debug, Clone, Error)]
pub(super) enum DirectoryError {
    #[error(transparent)]
    Refused(#[from] ArchiveRefused),
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

/// Where the directory is and how much it claims to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    records: u64,
    directory_offset: u64,
    directory_bytes: u64,
    /// Where the end records begin: the directory must end here or before.
    at: u64,
}

/// Reads the directory and checks all of it; files in the order in which they lie in the archive.
pub(super) async fn read_directory<O: Objects>(archive: &Archive<'_, O>) -> Result<Vec<Entry>, DirectoryError> {
    let end = find_end(archive).await?;
    if end.records > FILES_MAX {
        return Err(ArchiveRefused::TooManyFiles(end.records).into());
    }
    if end.directory_bytes > DIRECTORY_BYTES_MAX {
        return Err(ArchiveRefused::DirectoryTooLarge(end.directory_bytes).into());
    }
    let directory_end = end
        .directory_offset
        .checked_add(end.directory_bytes)
        .filter(|&directory_end| directory_end <= end.at)
        .ok_or(ArchiveRefused::NotAZip("its directory lies outside of it"))?;
    let mut directory = Vec::with_capacity(end.directory_bytes as usize);
    let mut position = end.directory_offset;
    while position < directory_end {
        let next = (position + super::READ_BYTES).min(directory_end);
        let piece = if next - position <= super::archive::BLOCK_BYTES {
            archive.read_near(position..next).await?
        } else {
            archive.read(position..next).await?
        };
        directory.extend_from_slice(&piece);
        position = next;
    }
    Ok(parse_directory(&directory, &end)?)
}

async fn find_end<O: Objects>(archive: &Archive<'_, O>) -> Result<End, DirectoryError> {
    let size = archive.size();
    let tail_at = size.saturating_sub(END_SEARCH_BYTES);
    let tail = archive.read_near(tail_at..size).await?;
    let at = (0..=tail.len().saturating_sub(END_BYTES))
        .rev()
        .find(|&at| {
            let record = &tail[at..];
            record.starts_with(b"PK\x05\x06")
                && u16_at(record, 20).is_some_and(|comment| END_BYTES + usize::from(comment) == record.len())
        })
        .ok_or(ArchiveRefused::NotAZip("its end record is missing"))?;
    let broken = || ArchiveRefused::NotAZip("its end record is broken");
    let record = &tail[at..];
    let field = |offset| u16_at(record, offset).ok_or_else(broken);
    if field(4)? != field(6)? || field(8)? != field(10)? {
        return Err(ArchiveRefused::NotAZip("it is one part of several").into());
    }
    let at = tail_at + at as u64;
    let end = End {
        records: u64::from(field(10)?),
        directory_bytes: u64::from(u32_at(record, 12).ok_or_else(broken)?),
        directory_offset: u64::from(u32_at(record, 16).ok_or_else(broken)?),
        at,
    };
    match at.checked_sub(END64_LOCATOR_BYTES as u64) {
        None => Ok(end),
        Some(locator_at) => {
            let locator = archive.read_near(locator_at..at).await?;
            if locator.starts_with(b"PK\x06\x07") { find_end64(archive, &locator, locator_at).await } else { Ok(end) }
        }
    }
}

async fn find_end64<O: Objects>(
    archive: &Archive<'_, O>,
    locator: &[u8],
    locator_at: u64,
) -> Result<End, DirectoryError> {
    let broken = || ArchiveRefused::NotAZip("its zip64 end record is broken");
    let at = u64_at(locator, 8).ok_or_else(broken)?;
    let record_end =
        at.checked_add(END64_BYTES as u64).filter(|&record_end| record_end <= locator_at).ok_or_else(broken)?;
    let record = archive.read_near(at..record_end).await?;
    let field = |offset| u64_at(&record, offset).ok_or_else(broken);
    if !record.starts_with(b"PK\x06\x06") {
        return Err(broken().into());
    }
    if u32_at(&record, 16) != u32_at(&record, 20) || field(24)? != field(32)? {
        return Err(ArchiveRefused::NotAZip("it is one part of several").into());
    }
    Ok(End { records: field(32)?, directory_bytes: field(40)?, directory_offset: field(48)?, at })
}

/// The pure half: all checks that need no more than the directory.
fn parse_directory(mut rest: &[u8], end: &End) -> Result<Vec<Entry>, ArchiveRefused> {
    let mut entries = Vec::new();
    for _ in 0..end.records {
        let (entry, after) = parse_record(rest)?;
        entries.extend(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(ArchiveRefused::NotAZip("its directory does not hold the entries it announces"));
    }
    if entries.is_empty() {
        return Err(ArchiveRefused::Empty);
    }
    {
        let mut names = HashSet::with_capacity(entries.len());
        if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
            return Err(ArchiveRefused::Duplicate(twice.name.clone()));
        }
    }
    entries.sort_by_key(|entry| entry.offset);
    lay_out(&mut entries, end.directory_offset)?;
    check_unpacked(&entries)?;
    Ok(entries)
}

/// Gives every entry its limit. Overlapping entries are how small archives unfold without end.
fn lay_out(entries: &mut [Entry], directory_offset: u64) -> Result<(), ArchiveRefused> {
    let mut limit = directory_offset;
    for entry in entries.iter_mut().rev() {
        entry.limit = limit;
        let inside = entry
            .offset
            .checked_add(LOCAL_HEADER_BYTES + entry.raw_name_bytes)
            .and_then(|data| data.checked_add(entry.packed_bytes))
            .is_some_and(|entry_end| entry_end <= limit);
        if !inside {
            let reason = "it reaches into the next entry or out of the archive";
            return Err(ArchiveRefused::Damaged { name: entry.name.clone(), reason });
        }
        limit = entry.offset;
    }
    Ok(())
}

fn check_unpacked(entries: &[Entry]) -> Result<(), ArchiveRefused> {
    let total = |bytes: fn(&Entry) -> u64| entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(bytes(entry)));
    let (packed, unpacked) = (total(|entry| entry.packed_bytes), total(|entry| entry.unpacked_bytes));
    let unfolds = unpacked > RATIO_FREE_BYTES && unpacked / RATIO_MAX > packed;
    if unpacked > UNPACKED_BYTES_MAX || unfolds {
        return Err(ArchiveRefused::Bomb { unpacked, packed });
    }
    Ok(())
}

/// One central directory record (4.3.12): the file, or nothing for a directory, and what follows.
fn parse_record(bytes: &[u8]) -> Result<(Option<Entry>, &[u8]), ArchiveRefused> {
    let broken = || ArchiveRefused::NotAZip("its directory is broken");
    let (header, rest) = bytes.split_at_checked(CENTRAL_HEADER_BYTES).ok_or_else(broken)?;
    if !header.starts_with(b"PK\x01\x02") {
        return Err(broken());
    }
    let short = |offset| u16_at(header, offset).ok_or_else(broken);
    let long = |offset| u32_at(header, offset).ok_or_else(broken);
    let (raw_name, rest) = rest.split_at_checked(usize::from(short(28)?)).ok_or_else(broken)?;
    let (extra, rest) = rest.split_at_checked(usize::from(short(30)?)).ok_or_else(broken)?;
    let (_comment, rest) = rest.split_at_checked(usize::from(short(32)?)).ok_or_else(broken)?;
    let name = decode_name(raw_name, extra)?;
    let is_directory = check_kind(&name, short(4)?, long(38)?)?;
    let name = check_name(name, is_directory)?;
    if is_directory {
        return Ok((None, rest));
    }
    let (flags, method) = (short(8)?, short(10)?);
    // Bit 0: encrypted; bit 6: strongly; bit 13: directory masked (4.4.4).
    if flags & 0x2041 != 0 {
        return Err(ArchiveRefused::Encrypted(name));
    }
    let Some(method) = Method::of(method) else {
        return Err(ArchiveRefused::Method { name, method });
    };
    let mut wide = Wide::find(extra);
    let unpacked_bytes = wide.widen(long(24)?).ok_or_else(broken)?;
    let packed_bytes = wide.widen(long(20)?).ok_or_else(broken)?;
    let offset = wide.widen(long(42)?).ok_or_else(broken)?;
    if method == Method::Stored && packed_bytes != unpacked_bytes {
        return Err(ArchiveRefused::Damaged { name, reason: "its two sizes differ though it is not compressed" });
    }
    let entry = Entry {
        name,
        raw_name_bytes: raw_name.len() as u64,
        method,
        crc32: long(16)?,
        mode: unix_mode(short(4)?, long(38)?),
        packed_bytes,
        unpacked_bytes,
        offset,
        limit: offset,
    };
    Ok((Some(entry), rest))
}

/// Whether the entry is a directory; refuses links and special files.
fn check_kind(name: &str, made_by: u16, attributes: u32) -> Result<bool, ArchiveRefused> {
    let by_name = name.ends_with('/');
    match unix_mode(made_by, attributes).map(|mode| mode & 0o170_000) {
        None | Some(0 | 0o100_000) => Ok(by_name),
        Some(0o040_000) => Ok(true),
        Some(_) => Err(ArchiveRefused::NotAFile(cut(name))),
    }
}

/// What the archive says of a file's type and permissions, where it was made on a system that has them.
fn unix_mode(made_by: u16, attributes: u32) -> Option<u32> {
    const UNIX: u16 = 3;
    const MACOS: u16 = 19;
    matches!(made_by >> 8, UNIX | MACOS).then_some(attributes >> 16)
}

fn decode_name(raw: &[u8], extra: &[u8]) -> Result<String, ArchiveRefused> {
    // Info-ZIP's Unicode path (4.6.9): version 1, CRC of the plain name, then the name in UTF-8.
    let unicode = extra_field(extra, 0x7075)
        .filter(|field| field.first() == Some(&1) && u32_at(field, 1) == Some(crc32fast::hash(raw)))
        .and_then(|field| field.get(5..));
    String::from_utf8(unicode.unwrap_or(raw).to_vec()).map_err(|error| ArchiveRefused::Name {
        name: cut(&String::from_utf8_lossy(error.as_bytes())),
        reason: "whose name is not UTF-8; build the archive with a tool that writes UTF-8 names",
    })
}

/// The name without `.` segments, if it stays below where it is put. Of a file something is left of it; of a directory, which
/// is only passed over, nothing needs to be: some tools write `./` first.
fn check_name(name: String, is_directory: bool) -> Result<String, ArchiveRefused> {
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let reason = if name.is_empty() {
        "without a name; build the archive again"
    } else if name.contains('\\') {
        "with a backslash in its name; build the archive with / between folders"
    } else if name.starts_with('/') || drive {
        "with an absolute path; build the archive from inside the folder, with relative paths"
    } else if name.split('/').any(|segment| segment == "..") {
        "whose path contains .. and would leave the target; build the archive from inside the folder"
    } else if !is_directory && name.rsplit('/').next() == Some(".") {
        "whose name is that of a folder, though it is a file; build the archive again"
    } else if name.chars().any(char::is_control) {
        "with control characters in its name; rename the file"
    } else if name.len() > KEY_BYTES_MAX {
        "whose name is longer than 1024 bytes, S3's limit for keys; shorten the path"
    } else {
        let plain = if name.split('/').any(|segment| segment == ".") {
            name.split('/').filter(|segment| *segment != ".").collect::<Vec<_>>().join("/")
        } else {
            name
        };
        return Ok(plain);
    };
    Err(ArchiveRefused::Name { name: cut(&name), reason })
}

/// The zip64 extra field (4.5.3): holds, in order, the values whose 32-bit field is all ones.
struct Wide<'a>(Option<&'a [u8]>);

impl<'a> Wide<'a> {
    fn find(extra: &'a [u8]) -> Self {
        Self(extra_field(extra, 0x0001))
    }

    fn widen(&mut self, narrow: u32) -> Option<u64> {
        match &mut self.0 {
            Some(values) if narrow == u32::MAX => {
                let value = u64_at(values, 0)?;
                *values = &values[8..];
                Some(value)
            }
            _ => Some(u64::from(narrow)),
        }
    }
}

fn extra_field(mut extra: &[u8], tag: u16) -> Option<&[u8]> {
    while let (Some(found), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let (field, rest) = extra[4..].split_at_checked(usize::from(length))?;
        if found == tag {
            return Some(field);
        }
        extra = rest;
    }
    None
}

/// Names of hostile archives may be long; an error message is not the place for them.
fn cut(name: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut short: String = name.chars().take(CHARS_MAX).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..offset + 2)?.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..offset + 8)?.try_into().ok().map(u64::from_le_bytes)
}
