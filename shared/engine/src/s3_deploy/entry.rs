//! Reads one file out of the archive, piece by piece, never more than was declared.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::{
    READ_BYTES,
    archive::{Archive, BLOCK_BYTES},
    directory::{ArchiveRefused, DirectoryError, Entry, LOCAL_HEADER_BYTES, Method, u16_at},
};
use crate::ports::objects::Objects;

/// A file of the archive being read.
pub(super) struct EntryReader<'a, O> {
    archive: &'a Archive<'a, O>,
    entry: &'a Entry,
    /// Where the packed bytes that were not read yet begin and end.
    position: u64,
    end: u64,
    input: Bytes,
    inflate: Option<Box<Decompress>>,
    /// Whether the packed stream has come to its end.
    ended: bool,
    crc: crc32fast::Hasher,
    unpacked_bytes: u64,
}

impl<'a, O: Objects> EntryReader<'a, O> {
    /// Reads the local header and checks it against the directory.
    pub(super) async fn open(archive: &'a Archive<'a, O>, entry: &'a Entry) -> Result<Self, DirectoryError> {
        let header_end = entry.offset + LOCAL_HEADER_BYTES + entry.raw_name_bytes;
        let header = if entry.packed_bytes > BLOCK_BYTES {
            archive.read(entry.offset..header_end).await?
        } else {
            archive.read_near(entry.offset..header_end).await?
        };
        let position = header
            .starts_with(b"PK\x03\x04")
            .then(|| Some((u16_at(&header, 8)?, u16_at(&header, 26)?, u16_at(&header, 28)?)))
            .flatten()
            .filter(|(method, name_bytes, _)| {
                Method::of(*method) == Some(entry.method) && u64::from(*name_bytes) == entry.raw_name_bytes
            })
            .map(|(_, _, extra_bytes)| header_end + u64::from(extra_bytes))
            .filter(|data| entry.limit.checked_sub(*data).is_some_and(|room| room >= entry.packed_bytes))
            .ok_or_else(|| damaged(entry, "its header does not agree with the directory"))?;
        Ok(Self {
            archive,
            entry,
            position,
            end: position + entry.packed_bytes,
            input: Bytes::new(),
            inflate: (entry.method == Method::Deflated).then(|| Box::new(Decompress::new(false))),
            ended: false,
            crc: crc32fast::Hasher::new(),
            unpacked_bytes: 0,
        })
    }

    /// Where its packed content is in the archive.
    pub(super) fn packed(&self) -> std::ops::Range<u64> {
        self.position..self.end
    }

    /// Gives the next piece of content, `bytes` long but for the last; `None` at the end, with size and CRC checked.
    pub(super) async fn next_piece(&mut self, bytes: usize) -> Result<Option<Vec<u8>>, DirectoryError> {
        let left = self.entry.unpacked_bytes - self.unpacked_bytes;
        let wanted = left.min(bytes as u64) as usize;
        if wanted == 0 {
            self.finish().await?;
            return Ok(None);
        }
        let mut piece = vec![0; wanted];
        let mut filled = 0;
        while filled < wanted {
            if self.ended {
                return Err(self.damaged("it is shorter than declared"));
            }
            self.refill().await?;
            filled += self.unpack(&mut piece[filled..])?;
        }
        self.crc.update(&piece);
        self.unpacked_bytes += wanted as u64;
        Ok(Some(piece))
    }

    /// At the declared end: nothing may follow, and the checksum must fit.
    async fn finish(&mut self) -> Result<(), DirectoryError> {
        while self.inflate.is_some() && !self.ended {
            self.refill().await?;
            if self.unpack(&mut [0])? != 0 {
                return Err(self.damaged("it is longer than declared"));
            }
        }
        if self.position != self.end || !self.input.is_empty() {
            return Err(self.damaged("something follows its compressed data"));
        }
        if std::mem::take(&mut self.crc).finalize() != self.entry.crc32 {
            return Err(self.damaged("its checksum does not fit"));
        }
        Ok(())
    }

    async fn refill(&mut self) -> Result<(), DirectoryError> {
        if !self.input.is_empty() || self.position == self.end {
            return Ok(());
        }
        let next = (self.position + READ_BYTES).min(self.end);
        self.input = if self.entry.packed_bytes > BLOCK_BYTES {
            self.archive.read(self.position..next).await?
        } else {
            self.archive.read_near(self.position..next).await?
        };
        self.position = next;
        Ok(())
    }

    /// Moves input into `out` until it is full or the input is used up; tells how many bytes came.
    fn unpack(&mut self, out: &mut [u8]) -> Result<usize, DirectoryError> {
        let Some(inflate) = &mut self.inflate else {
            let taken = self.input.split_to(self.input.len().min(out.len()));
            out[..taken.len()].copy_from_slice(&taken);
            self.ended = self.input.is_empty() && self.position == self.end;
            return Ok(taken.len());
        };
        let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(&self.input, out, FlushDecompress::None);
        let consumed = (inflate.total_in() - in_before) as usize;
        let written = (inflate.total_out() - out_before) as usize;
        let _ = self.input.split_to(consumed);
        match status {
            Ok(Status::StreamEnd) => self.ended = true,
            Ok(_) if consumed == 0 && written == 0 => {
                return Err(self.damaged("its compressed data ends early"));
            }
            Ok(_) => {}
            Err(_) => return Err(self.damaged("its compressed data is broken")),
        }
        Ok(written)
    }

    fn damaged(&self, reason: &'static str) -> DirectoryError {
        damaged(self.entry, reason)
    }
}

fn damaged(entry: &Entry, reason: &'static str) -> DirectoryError {
    ArchiveRefused::Damaged { name: entry.name.clone(), reason }.into()
}
