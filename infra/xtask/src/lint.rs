//! `cargo xtask lint`: what CI checks besides tests.

use anyhow::{Context, bail};

use crate::workspace::cargo;

/// Checks that run even if one before has failed, so that one run shows everything.
const CHECKS: [(&str, &[&str]); 3] = [
    ("fmt", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    ("doc", &["doc", "--workspace", "--no-deps", "--quiet"]),
];

/// Runs every check.
///
/// # Errors
/// Names the checks that failed; what is wrong they have printed themselves.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for (name, arguments) in CHECKS {
        eprintln!("{name:<8} cargo {}", arguments.join(" "));
        let status = cargo(arguments).env("RUSTDOCFLAGS", "-D warnings").status();
        if !status.with_context(|| format!("run cargo {}", arguments.join(" ")))?.success() {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
