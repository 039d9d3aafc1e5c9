//! Repositories of code at their provider, as far as a Source action needs them.

use std::{fmt, future::Future, str::FromStr};

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use thiserror::Error;

/// Longest owner or name of a repository, in bytes: GitHub's limit for names.
const PART_BYTES_MAX: usize = 100;

/// Reads commits and what is in them.
pub trait Repositories: Send + Sync {
    /// What `revision` stands for: a commit, or the newest of a branch.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] also where the repository may not be seen: providers tell neither apart.
    fn commit(
        &self,
        repository: &RepositoryName,
        revision: &Revision,
    ) -> impl Future<Output = Result<Commit, RepositoryError>> + Send;

    /// All files of the commit `id`, as a zip archive with everything in one folder; in pieces, of unknown size.
    ///
    /// # Errors
    /// As for [`Repositories::commit`]; a piece may fail too.
    fn archive(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, RepositoryError>>, RepositoryError>> + Send;
}

/// `owner/name` of a repository. Both are safe in a path of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    /// Who owns it.
    pub owner: String,
    /// What it is called.
    pub name: String,
}

impl FromStr for RepositoryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| {
            (1..=PART_BYTES_MAX).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                && !part.bytes().all(|byte| byte == b'.')
        };
        match text.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => {
                Err(format!("'{text}' is no repository of GitHub's. Write its owner and its name, as in octo-org/shop"))
            }
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// What to take of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// This commit; hexadecimal digits.
    Commit(String),
    /// The newest commit of this branch.
    Branch(String),
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => write!(f, "commit {id}"),
            Self::Branch(name) => write!(f, "branch {name}"),
        }
    }
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id: 40 or 64 hexadecimal digits.
    pub id: String,
    /// Why it was made.
    pub message: String,
    /// When it was written.
    pub authored_at: Option<Timestamp>,
    /// Where a person sees it.
    pub url: Option<String>,
}

/// Why there is no commit or no archive, by what the caller can do. No text holds a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RepositoryError {
    /// Correct the name, or let the repository be seen.
    #[error(
        "{repository} has no {what} that can be seen: check repository and branch. Lastgood sees public repositories alone"
    )]
    NotFound {
        /// The repository.
        repository: String,
        /// What was asked for.
        what: String,
    },
    /// Read the reason.
    #[error("{0}")]
    Refused(String),
    /// Wait until then: too much was asked.
    #[error("{0}")]
    Exhausted(String),
    /// Try again.
    #[error("the repository's provider does not answer: {0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_in_an_address_names_a_repository() {
        assert_eq!("octo-org/shop.js".parse::<RepositoryName>().unwrap().to_string(), "octo-org/shop.js");
        for text in
            ["", "shop", "octo/", "/shop", "a/b/c", "octo/..", "../shop", "octo/sh op", "octo/shop?x", "öcto/shop"]
        {
            assert!(text.parse::<RepositoryName>().unwrap_err().contains("octo-org/shop"), "{text}");
        }
    }
}
