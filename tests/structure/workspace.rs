//! The workspace as data: its members, their dependencies, its files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// Folders that hold no source.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", "node_modules"];

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    manifest_path: PathBuf,
    /// What it declares to depend on, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A declared dependency.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package depended on.
    pub(crate) name: String,
    /// Absent for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Whether a feature brings it.
    pub(crate) optional: bool,
    /// Its folder, for packages of the workspace.
    pub(crate) path: Option<PathBuf>,
    /// Features of it that are asked for.
    pub(crate) features: Vec<String>,
}

impl Member {
    /// Its folder, relative to the root, such as `functions/api`.
    pub(crate) fn folder(&self) -> String {
        let folder = self.manifest_path.parent().expect("a manifest lies in a folder");
        relative(folder)
    }

    /// What is linked into it outside its tests.
    pub(crate) fn linked(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|dependency| dependency.kind.is_none())
    }
}

/// Every member of the workspace, as cargo tells.
pub(crate) fn members() -> Vec<Member> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Member>,
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs, for it runs this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata answers JSON");
    metadata.packages
}

/// Folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    root.canonicalize().expect("the workspace exists")
}

/// `path` below the root, with `/`.
pub(crate) fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Text of a file named relative to the root.
pub(crate) fn read(relative: &str) -> String {
    fs::read_to_string(root().join(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// Every file below the root whose name ends with one of `endings`, relative to the root, sorted.
pub(crate) fn files(endings: &[&str]) -> Vec<String> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder of the workspace can be read") {
            let entry = entry.expect("a folder of the workspace can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                    walk(&entry.path(), endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(relative(&entry.path()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), endings, &mut found);
    found.sort();
    found
}

/// Fails with every complaint, so that one run shows all there is to mend.
pub(crate) fn assert_none(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n  {}\n", complaints.join("\n  "));
}
