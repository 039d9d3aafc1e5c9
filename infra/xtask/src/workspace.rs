//! Where things are, and how cargo is called.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// What is used of `cargo metadata`.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo does not answer.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let output =
            cargo(&["metadata", "--no-deps", "--format-version", "1"]).output().context("run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("read what cargo metadata says")
    }

    /// Names of the packages below `functions/`, sorted.
    pub(crate) fn functions(&self) -> Vec<String> {
        let folder = root().join("functions");
        let below = self.packages.iter().filter(|package| package.manifest_path.starts_with(&folder));
        let mut names: Vec<String> = below.map(|package| package.name.clone()).collect();
        names.sort();
        names
    }
}

/// Folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Target triple of this machine.
///
/// # Errors
/// When cargo does not say.
pub(crate) fn host() -> anyhow::Result<String> {
    let output = cargo(&["--version", "--verbose"]).output().context("run cargo --version")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).with_context(|| format!("cargo --version --verbose tells no host: {told}"))
}

/// A call of the cargo that built this program, in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root());
    command
}
