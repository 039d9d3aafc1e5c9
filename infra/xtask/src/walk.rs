//! `cargo xtask walk`: the walks of every state that take long, by the optimized tests of `domain`.

use anyhow::{Context, bail};

use crate::workspace::cargo;

/// Runs them side by side, each printing how many states there are.
///
/// # Errors
/// When an invariant does not hold in some state, or nothing more can happen where something should.
pub(crate) fn run() -> anyhow::Result<()> {
    let test = ["test", "--release", "-p", "domain", "--lib", "tests::walk::", "--", "--ignored", "--nocapture"];
    let status = cargo(&test).status().with_context(|| format!("run cargo {}", test.join(" ")))?;
    if !status.success() {
        bail!("a walk met a state that must not be, see above for the way to it");
    }
    Ok(())
}
