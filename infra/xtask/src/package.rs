//! `cargo xtask package`: the functions as Lambda takes them.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use clap::Args;
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::workspace::{self, Metadata, cargo};

/// Largest zip of a function (design, section 10): it is fetched at every cold start.
pub(crate) const ZIP_BYTES_MAX: usize = 5_000_000;

/// Profile of what goes into an account; the budget is for it alone.
const PROFILE: &str = "lambda";

/// What the linker leaves out of functions.
const LINKER_SCRIPT: &str = "infra/xtask/functions.ld";

/// Which functions, for which machine.
#[derive(Args)]
pub(crate) struct Options {
    /// Target triple, such as aarch64-unknown-linux-musl; this machine's without it
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Cargo profile; another than `lambda` is quicker to build and larger, for tests of a deployment
    #[arg(long, default_value = PROFILE)]
    profile: String,
    /// Only these functions
    functions: Vec<String>,
}

impl Options {
    /// All functions as they go into an account, for machines of `target`.
    pub(crate) fn for_target(target: Option<String>) -> Self {
        Self { target, profile: PROFILE.to_owned(), functions: Vec::new() }
    }
}

/// Builds, zips, and prints what came out.
///
/// # Errors
/// An unknown function, or a failed build. A zip beyond the budget is told, and there all the same.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let metadata = Metadata::load()?;
    let all = metadata.functions();
    let unknown: Vec<&String> = options.functions.iter().filter(|name| !all.contains(name)).collect();
    ensure!(unknown.is_empty(), "there is no function {unknown:?}; there are {}", all.join(", "));
    let chosen = if options.functions.is_empty() { &all } else { &options.functions };

    let target = match &options.target {
        // Flags for a target spare what runs in the build, build scripts and macros, only where one is named.
        None if options.profile == PROFILE => Some(workspace::host()?),
        target => target.clone(),
    };
    build(chosen, &options.profile, target.as_deref())?;
    let mut built = metadata.target_directory;
    built.extend(target);
    // Cargo's own profile is the one whose folder has another name.
    built.push(if options.profile == "dev" { "debug" } else { &options.profile });
    let zips = workspace::root().join("target/lambda");
    fs::create_dir_all(&zips).with_context(|| format!("create {}", zips.display()))?;

    println!("{:<20} {:>12} {:>12}  sha256", "function", "binary", "zip");
    let mut large = Vec::new();
    for name in chosen {
        let binary = fs::read(built.join(name)).with_context(|| format!("read the binary of {name}"))?;
        // Large binaries are for the machine that made them: squeezing them takes longer than building them.
        let method = if options.profile == PROFILE { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let zip = zip_bootstrap(&binary, method)?;
        let file = zips.join(name).with_extension("zip");
        write_whole(&file, &zip)?;
        println!("{name:<20} {:>12} {:>12}  {}", binary.len(), zip.len(), hex::encode(Sha256::digest(&zip)));
        if options.profile == PROFILE && zip.len() > ZIP_BYTES_MAX {
            large.push(name.as_str());
        }
    }
    if !large.is_empty() {
        // Lambda takes ten times as much, and whoever installs this can do nothing about it.
        eprintln!("beyond the budget of {ZIP_BYTES_MAX} bytes, so slower to start: {}", large.join(", "));
    }
    Ok(())
}

fn build(functions: &[String], profile: &str, target: Option<&str>) -> anyhow::Result<()> {
    let mut command = cargo(&["build", "--profile", profile, "--locked"]);
    if profile == PROFILE {
        for name in functions {
            command.args(["--package", name]);
        }
    } else {
        // With the features of the whole workspace, as its tests are built, so that nothing is built twice.
        command.arg("--workspace");
    }
    for name in functions {
        command.args(["--bin", name]);
    }
    if let Some(target) = target {
        command.args(["--target", target]);
        // The linker of another system knows no such scripts, and Lambda runs nothing that it makes.
        if profile == PROFILE && target.contains("linux") {
            // Whole, as libraries are linked in folders of their own. Where it is does not show in what is built.
            let script = workspace::root().join(LINKER_SCRIPT);
            command.args([
                "--config",
                &format!("target.{target}.rustflags=[{:?}]", format!("-Clink-arg=-T{}", script.display())),
            ]);
        }
    }
    ensure!(command.status().context("run cargo build")?.success(), "the build failed");
    Ok(())
}

/// A zip with `bootstrap` alone, executable and without a time: same binary, same bytes.
fn zip_bootstrap(binary: &[u8], method: CompressionMethod) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .compression_level((method == CompressionMethod::Deflated).then_some(9))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", options)?;
    zip.write_all(binary)?;
    Ok(zip.finish()?.into_inner())
}

/// Replaces `file` at once, so that a deployment never takes half of it.
fn write_whole(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = file.with_extension("zip.new");
    fs::write(&beside, bytes).with_context(|| format!("write {}", beside.display()))?;
    fs::rename(&beside, file).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_same_binary_makes_the_same_zip() {
        let binary = b"\x7fELF and so on".repeat(1000);
        for method in [CompressionMethod::Deflated, CompressionMethod::Stored] {
            assert_eq!(zip_bootstrap(&binary, method).unwrap(), zip_bootstrap(&binary, method).unwrap());
        }
    }

    #[test]
    fn lambda_finds_an_executable_bootstrap() {
        let zip = zip_bootstrap(b"program", CompressionMethod::Deflated).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut entry = archive.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "program");
    }
}
