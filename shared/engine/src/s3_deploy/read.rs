//! One small file out of an artifact, as text: templates, definitions, inputs of what a provider does.

use super::{DeployFailed, archive::Archive, directory::read_directory, entry::EntryReader, not_read};
use crate::ports::objects::{ObjectAt, Objects};

/// Largest file, in bytes: with the quotes escaped it still fits into what Step Functions carries (256 KiB).
pub const FILE_BYTES_MAX: u64 = 120_000;

/// Why a file of an artifact is not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRead {
    /// There is no such file.
    #[error("the artifact has no file '{0}'; name one of its files")]
    NoFile(String),
    /// It is larger than [`FILE_BYTES_MAX`].
    #[error("'{0}' has {1} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge(String, u64),
    /// It is not UTF-8.
    #[error("'{0}' is not text in UTF-8")]
    NotText(String),
    /// The artifact cannot be read.
    #[error(transparent)]
    Artifact(#[from] DeployFailed),
}

/// The text of the file `path` in the archive at `artifact`.
///
/// # Errors
/// [`NotRead`].
pub async fn read_file(objects: &impl Objects, artifact: &ObjectAt, path: &str) -> Result<String, NotRead> {
    let info = objects.head(artifact, None).await.map_err(DeployFailed::Artifact)?;
    let archive = Archive::new(objects, info.pin(artifact), info.size);
    let entries = read_directory(&archive).await.map_err(not_read)?;
    let entry = entries.iter().find(|entry| entry.name == path);
    let entry = entry.ok_or_else(|| NotRead::NoFile(path.to_owned()))?;
    if entry.unpacked_bytes > FILE_BYTES_MAX {
        return Err(NotRead::TooLarge(path.to_owned(), entry.unpacked_bytes));
    }
    let mut reader = EntryReader::open(&archive, entry).await.map_err(not_read)?;
    let mut content = Vec::new();
    while let Some(piece) =
        reader.next_piece(usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX)).await.map_err(not_read)?
    {
        content.extend(piece);
    }
    String::from_utf8(content).map_err(|_| NotRead::NotText(path.to_owned()))
}
