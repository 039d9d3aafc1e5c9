//! The Source action of a connection: the files of one commit become an artifact (spec 6.5).
//!
//! AWS's connections are reachable for AWS's own services alone, so what they lead to is asked directly: GitHub, for
//! repositories that everybody sees.

use std::collections::BTreeMap;

use futures::StreamExt;
use thiserror::Error;

use crate::{
    keep::{KEEP_NO, KEEP_TAG},
    ports::{
        Commit, ObjectAt, Objects, ObjectsError, PutOptions, Repositories, RepositoryError, RepositoryName, Revision,
    },
    s3_deploy::{DeployFailed, Writer, repack},
};

/// Largest archive of a commit, in bytes: 1 GB, CodePipeline's quota for repositories of code (spec 1.5).
pub const ARCHIVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest message in a revision's summary and in a variable, in characters: `RevisionSummary` of the CodePipeline model
/// allows 2048.
const MESSAGE_CHARS_MAX: usize = 2048;
/// How much of a commit's id may be given (Git's own least and SHA-256's length).
const COMMIT_CHARS: std::ops::RangeInclusive<usize> = 7..=64;

/// What a Source action takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// The repository.
    pub repository: RepositoryName,
    /// What to take of it.
    pub revision: Revision,
}

/// Why a commit could not be had.
#[derive(Debug, Error)]
pub enum GitSourceError {
    /// Correct the action's configuration, or the revision it was started with.
    #[error("{0}")]
    Configuration(String),
    /// The provider's reason.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The storage's reason.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Its archive is none that an artifact can be made of.
    #[error("the files of commit {commit} of {repository} make no artifact: {reason}")]
    Archive {
        /// The repository.
        repository: String,
        /// The commit.
        commit: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl GitSourceError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Objects(error) => error.is_retryable(),
            Self::Repository(error) => matches!(error, RepositoryError::Unavailable(_)),
            Self::Configuration(_) | Self::Archive { .. } => false,
        }
    }

    /// CodePipeline's failure type.
    pub fn failure_type(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "ConfigurationError",
            Self::Objects(ObjectsError::AccessDenied { .. } | ObjectsError::Key { is_denied: true, .. }) => {
                "PermissionError"
            }
            Self::Objects(_) => "ConfigurationError",
            Self::Repository(RepositoryError::Exhausted(_) | RepositoryError::Unavailable(_)) => "SystemUnavailable",
            Self::Repository(_) | Self::Archive { .. } => "RevisionUnavailable",
        }
    }
}

impl GitSource {
    /// What an action of this configuration takes: the commit it is `pinned` to, else the newest of its branch.
    ///
    /// # Errors
    /// [`GitSourceError::Configuration`].
    pub fn parse(configuration: &BTreeMap<String, String>, pinned: Option<&str>) -> Result<Self, GitSourceError> {
        let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
        let repository = setting("FullRepositoryId").parse().map_err(GitSourceError::Configuration)?;
        if setting("OutputArtifactFormat") == CLONE_REF {
            let why = format!(
                "OutputArtifactFormat {CLONE_REF} hands a connection of AWS's to CodeBuild, which Lastgood has none of. Use \
                 CODE_ZIP, or leave it out."
            );
            return Err(GitSourceError::Configuration(why));
        }
        let revision = match pinned {
            None => Revision::Branch(setting("BranchName").to_owned()),
            Some(id) if COMMIT_CHARS.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Revision::Commit(id.to_owned())
            }
            Some(other) => {
                let why = format!("'{other}' is no id of a commit. Start the pipeline with one, or with none.");
                return Err(GitSourceError::Configuration(why));
            }
        };
        Ok(Self { repository, revision })
    }
}

/// The format that hands over a reference to the repository instead of its files.
pub const CLONE_REF: &str = "CODEBUILD_CLONE_REF";

/// Puts the files of `commit` to `to`, as an archive without the folder that the provider puts them in. What the
/// provider sent is kept at `passing` meanwhile, and emptied after: it is checked as every archive is before anything is
/// made of it, and that takes its directory, which comes last. Both are marked as what no rollback needs, so that the bucket's
/// lifecycle may remove them.
///
/// # Errors
/// [`GitSourceError`]; nothing is at `to` then.
pub async fn fetch<R: Repositories, O: Objects>(
    repositories: &R,
    objects: &O,
    repository: &RepositoryName,
    commit: &Commit,
    passing: &ObjectAt,
    to: &ObjectAt,
    kms_key: Option<&str>,
) -> Result<(), GitSourceError> {
    let options = PutOptions {
        content_type: Some("application/zip".to_owned()),
        kms_key: kms_key.map(str::to_owned),
        tags: BTreeMap::from([(KEEP_TAG.to_owned(), KEEP_NO.to_owned())]),
        ..PutOptions::default()
    };
    download(repositories, objects, repository, commit, passing, &options).await?;
    let packed = repack(objects, passing, to, &options).await;
    // Nobody looks for it any more; where this fails, it stays until the bucket's own rules remove it.
    let _ = objects.put(passing, bytes::Bytes::new(), &options).await;
    packed.map_err(|error| match error {
        DeployFailed::Artifact(error) | DeployFailed::Target(error) => error.into(),
        other => unusable(repository, commit, other.to_string()),
    })
}

async fn download<R: Repositories, O: Objects>(
    repositories: &R,
    objects: &O,
    repository: &RepositoryName,
    commit: &Commit,
    to: &ObjectAt,
    options: &PutOptions,
) -> Result<(), GitSourceError> {
    let mut pieces = repositories.archive(repository, &commit.id).await?;
    let mut writer = Writer::new(objects, to, options);
    let outcome = async {
        while let Some(piece) = pieces.next().await {
            writer.write(&piece?).await?;
            if writer.written() > ARCHIVE_BYTES_MAX {
                let reason = format!("they take more than {ARCHIVE_BYTES_MAX} bytes packed (1 GB)");
                return Err(unusable(repository, commit, reason));
            }
        }
        Ok(())
    };
    match outcome.await {
        Ok(()) => Ok(writer.finish().await?),
        Err(error) => {
            writer.give_up().await;
            Err(error)
        }
    }
}

fn unusable(repository: &RepositoryName, commit: &Commit, reason: String) -> GitSourceError {
    GitSourceError::Archive { repository: repository.to_string(), commit: commit.id.clone(), reason }
}

/// A commit's message as a summary.
pub fn summary(commit: &Commit) -> String {
    commit.message.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// The action's output variables: those that CodePipeline documents for connections. `branch` is the one it was taken
/// from.
pub fn output_variables(
    configuration: &BTreeMap<String, String>,
    repository: &RepositoryName,
    branch: &str,
    commit: &Commit,
) -> BTreeMap<String, String> {
    let authored_at = commit.authored_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    [
        ("AuthorDate", authored_at.unwrap_or_default()),
        ("BranchName", branch.to_owned()),
        ("CommitId", commit.id.clone()),
        ("CommitMessage", summary(commit)),
        ("ConnectionArn", configuration.get("ConnectionArn").cloned().unwrap_or_default()),
        ("FullRepositoryName", repository.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use bytes::Bytes;
    use futures::{executor::block_on, stream, stream::BoxStream};
    use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::ports::objects::memory::MemoryObjects;

    /// One repository of one commit, whose archive comes in small pieces.
    struct One(Vec<u8>);

    impl Repositories for One {
        async fn commit(&self, _: &RepositoryName, _: &Revision) -> Result<Commit, RepositoryError> {
            Ok(commit())
        }

        async fn archive(
            &self,
            _: &RepositoryName,
            _: &str,
        ) -> Result<BoxStream<'static, Result<Bytes, RepositoryError>>, RepositoryError> {
            let pieces: Vec<_> = self.0.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            Ok(stream::iter(pieces).boxed())
        }
    }

    fn commit() -> Commit {
        Commit {
            id: "5f6c2d1e".repeat(5),
            message: "Say hello\n\nIt is polite.".to_owned(),
            authored_at: "2026-11-23T10:15:02Z".parse().ok(),
            url: None,
        }
    }

    fn packed(files: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.add_directory("octo-shop-5f6c2d1/", SimpleFileOptions::default()).unwrap();
        for (name, content, mode) in files {
            zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn fetched(archive: Vec<u8>) -> (MemoryObjects, Result<(), GitSourceError>) {
        let objects = MemoryObjects::default();
        objects.create_bucket("artifacts", false);
        let (passing, to) = (ObjectAt::new("artifacts", "passing"), ObjectAt::new("artifacts", "k"));
        let repository = "octo/shop".parse().unwrap();
        let outcome = block_on(fetch(&One(archive), &objects, &repository, &commit(), &passing, &to, Some("alias/k")));
        (objects, outcome)
    }

    #[test]
    fn files_are_kept_without_the_providers_folder_and_as_executable_as_they_were() {
        let long = "x".repeat(300_000);
        let files = [
            ("octo-shop-5f6c2d1/index.html", "hello", 0o644),
            ("octo-shop-5f6c2d1/bin/run", long.as_str(), 0o755),
            ("octo-shop-5f6c2d1/empty", "", 0o644),
        ];
        let (objects, outcome) = fetched(packed(&files));
        outcome.unwrap();
        let kept = objects.content("artifacts", "k").unwrap();
        let mut kept = ZipArchive::new(Cursor::new(kept)).unwrap();
        for (name, content, mode) in files {
            let mut file = kept.by_name(name.split_once('/').unwrap().1).unwrap();
            let mut read = String::new();
            file.read_to_string(&mut read).unwrap();
            assert_eq!((read.as_str(), file.unix_mode().unwrap() & 0o777), (content, mode), "{name}");
        }
        assert_eq!(kept.len(), 3);
        assert_eq!(objects.content("artifacts", "passing").unwrap(), "", "what the provider sent is emptied");
        for key in ["k", "passing"] {
            let options = objects.options("artifacts", key).unwrap();
            assert_eq!(options.kms_key.as_deref(), Some("alias/k"), "{key}");
            assert_eq!(options.tags.get(KEEP_TAG).map(String::as_str), Some(KEEP_NO), "{key}");
        }
    }

    #[test]
    fn an_archive_that_could_do_harm_makes_no_artifact() {
        let mut cut_off = packed(&[("octo-shop-5f6c2d1/a", "a", 0o644)]);
        cut_off.truncate(cut_off.len() - 30);
        for (archive, why) in [
            (packed(&[("octo-shop-5f6c2d1/../../a", "a", 0o644)]), ".."),
            (packed(&[("octo-shop-5f6c2d1/a", "a", 0o644), ("other/b", "b", 0o644)]), "one folder"),
            (packed(&[("a", "a", 0o644)]), "one folder"),
            (cut_off, "no complete zip archive"),
        ] {
            let (objects, outcome) = fetched(archive);
            let error = outcome.unwrap_err();
            assert_eq!(error.failure_type(), "RevisionUnavailable");
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(objects.content("artifacts", "k"), None);
        }
    }

    #[test]
    fn a_source_takes_the_commit_it_is_pinned_to_else_its_branch() {
        let configuration = |format: &str| -> BTreeMap<String, String> {
            [("FullRepositoryId", "octo/shop"), ("BranchName", "main"), ("OutputArtifactFormat", format)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let taken = |pinned| GitSource::parse(&configuration("CODE_ZIP"), pinned).map(|source| source.revision);
        assert_eq!(taken(None).unwrap(), Revision::Branch("main".to_owned()));
        assert_eq!(taken(Some("5f6c2d1e")).unwrap(), Revision::Commit("5f6c2d1e".to_owned()));
        for wrong in ["main", "5f6c", "../../x", "5f6c2d1e?"] {
            assert_eq!(taken(Some(wrong)).unwrap_err().failure_type(), "ConfigurationError", "{wrong}");
        }
        let refused = GitSource::parse(&configuration(CLONE_REF), None).unwrap_err().to_string();
        assert!(refused.contains("CODE_ZIP"), "{refused}");
    }

    #[test]
    fn variables_are_those_of_a_connection() {
        let configuration = [("ConnectionArn".to_owned(), "arn:c".to_owned())].into();
        let variables = output_variables(&configuration, &"octo/shop".parse().unwrap(), "main", &commit());
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        let expected = ["AuthorDate", "BranchName", "CommitId", "CommitMessage", "ConnectionArn", "FullRepositoryName"];
        assert_eq!(names, expected);
        assert_eq!(variables["AuthorDate"], "2026-11-23T10:15:02Z");
    }
}
