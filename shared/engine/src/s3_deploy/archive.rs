//! Random access to one unchanging archive, in ranged reads.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};
use futures::lock::Mutex;

use crate::ports::objects::{Objects, ObjectsError, PinnedObject};

/// Bytes fetched at a time for small reads: neighbouring small files then cost one request together.
pub(super) const BLOCK_BYTES: u64 = 1024 * 1024;
/// Blocks kept: parallel readers work on neighbouring files, so few are in use at once.
const BLOCKS_MAX: usize = 4;

/// A pinned archive and the blocks of it that were read last.
pub(super) struct Archive<'a, O> {
    objects: &'a O,
    object: PinnedObject,
    size: u64,
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl<'a, O: Objects> Archive<'a, O> {
    /// An archive of `size` bytes.
    pub(super) fn new(objects: &'a O, object: PinnedObject, size: u64) -> Self {
        Self { objects, object, size, blocks: Mutex::new(VecDeque::with_capacity(BLOCKS_MAX)) }
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads `range`, which lies inside the archive, straight from storage.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let bytes = self.objects.read(&self.object, range).await?;
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        Err(ObjectsError::Unavailable {
            operation: "GetObject",
            at: self.object.at.clone(),
            reason: format!("{} bytes came where {wanted} were asked for", bytes.len()),
        })
    }

    /// Reads `range` by way of the blocks: for ranges of up to about [`BLOCK_BYTES`].
    pub(super) async fn read_near(&self, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (first, last) = (range.start / BLOCK_BYTES, (range.end - 1) / BLOCK_BYTES);
        let mut joined = BytesMut::new();
        for number in first..=last {
            let block = self.block(number).await?;
            let offset = number * BLOCK_BYTES;
            let from = range.start.saturating_sub(offset) as usize;
            let to = (range.end - offset).min(block.len() as u64) as usize;
            if first == last {
                return Ok(block.slice(from..to));
            }
            joined.extend_from_slice(&block[from..to]);
        }
        Ok(joined.freeze())
    }

    async fn block(&self, number: u64) -> Result<Bytes, ObjectsError> {
        // Held while reading: whoever else waits here wants a neighbouring file, mostly in the same block.
        let mut blocks = self.blocks.lock().await;
        if let Some((_, block)) = blocks.iter().find(|(kept, _)| *kept == number) {
            return Ok(block.clone());
        }
        let start = number * BLOCK_BYTES;
        let block = self.read(start..(start + BLOCK_BYTES).min(self.size)).await?;
        if blocks.len() == BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((number, block.clone()));
        Ok(block)
    }
}
