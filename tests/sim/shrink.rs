//! The smallest simulation that still breaks a rule, for people to read.

use crate::{
    faults::Dial,
    run::{Options, Outcome, simulate},
};

/// A small failing simulation.
#[derive(Debug)]
pub struct Small {
    /// What it needs.
    pub options: Options,
    /// What it did, with its story.
    pub outcome: Outcome,
}

impl Small {
    /// The command that tells it again.
    pub fn command(&self, seed: u64) -> String {
        let mut command = format!("cargo xtask simulate --seed {seed} --interventions {}", self.options.interventions);
        let off = Dial::ALL.into_iter().filter(|dial| !self.options.dials.contains(dial));
        for dial in off {
            command += &format!(" --without {dial}");
        }
        if let Some(mutant) = self.options.mutant {
            command += &format!(" --mutant {mutant}");
        }
        command
    }
}

/// Leaves away kinds of trouble and interventions of the failing simulation `seed` as long as it fails.
///
/// # Errors
/// As [`simulate`].
pub fn shrink(seed: u64, options: &Options) -> anyhow::Result<Small> {
    let mut options = options.clone();
    let fails = |options: &Options| anyhow::Ok(simulate(seed, options, false)?.broken.is_some());
    for dial in Dial::ALL {
        let mut fewer = options.clone();
        fewer.dials.retain(|kept| *kept != dial);
        if fewer.dials.len() < options.dials.len() && fails(&fewer)? {
            options = fewer;
        }
    }
    for interventions in 1..options.interventions {
        let fewer = Options { interventions, ..options.clone() };
        if fails(&fewer)? {
            options = fewer;
            break;
        }
    }
    let outcome = simulate(seed, &options, true)?;
    Ok(Small { options, outcome })
}
