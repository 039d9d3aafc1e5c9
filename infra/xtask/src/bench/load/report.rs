//! What was measured, for people and for programs.

use serde::Serialize;

use super::{check::Found, memory::Memory};

/// What was measured. Times in milliseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    pub(super) pipelines: u32,
    pub(super) uploads: u32,
    pub(super) burst: u32,
    /// Deliveries of events about uploads to the function, those of objects that nobody takes among them.
    pub(super) deliveries: u64,
    /// Executions by status.
    pub(super) ended: std::collections::BTreeMap<String, u32>,
    /// From the first upload until everything had ended.
    pub(super) took_ms: i64,
    /// From each upload to the start of its first action, sorted.
    #[serde(skip)]
    pub(super) until_action: Vec<i64>,
    pub(super) memory: Vec<Memory>,
    #[serde(flatten)]
    pub(super) found: Found,
}

impl Measured {
    fn per_second(&self) -> f64 {
        f64::from(self.uploads) * 1e3 / (self.took_ms.max(1) as f64)
    }

    /// The time that `percent` of the uploads did not exceed.
    fn at(&self, percent: usize) -> i64 {
        let rank = (self.until_action.len() * percent).div_ceil(100).max(1);
        self.until_action.get(rank - 1).copied().unwrap_or(0)
    }

    /// By how much the resident part grew over the second half of the uploads, in bytes an upload: what was needed once is
    /// there by then.
    fn growth(&self) -> Option<f64> {
        let (last, half) = (self.uploads, self.uploads / 2);
        let at = |wanted: u32| self.memory.iter().find(|one| one.uploads >= wanted && wanted > 0);
        let (from, to) = (at(half)?, at(last)?);
        let uploads = f64::from(to.uploads.checked_sub(from.uploads).filter(|more| *more > 0)?);
        Some((to.resident_kb? as f64 - from.resident_kb? as f64) * 1024.0 / uploads)
    }
}

/// Prints everything as one object.
///
/// # Errors
/// None that data of this form can cause.
pub(super) fn print_json(measured: &Measured) -> anyhow::Result<()> {
    let mut all = serde_json::to_value(measured)?;
    all["perSecond"] = measured.per_second().into();
    all["untilActionMs"] = serde_json::json!({ "p50": measured.at(50), "p99": measured.at(99) });
    all["growthBytesAnUpload"] = measured.growth().into();
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(())
}

/// Prints for people.
pub(super) fn print(measured: &Measured) {
    let Measured { pipelines, uploads, burst, deliveries, .. } = measured;
    println!("{uploads} uploads for {pipelines} pipelines, {burst} at once; {deliveries} deliveries of events.\n");
    for (status, count) in &measured.ended {
        println!("{:<34} {count:>12}", format!("executions {status}"));
    }
    for (name, kind) in measured.found.kinds() {
        println!("{name:<34} {:>12}", kind.count);
        kind.first.iter().for_each(|one| println!("    {one}"));
    }
    println!("\n{:<34} {:>12.1}", "executions a second", measured.per_second());
    println!("{:<34} {:>12} {:>12}", "milliseconds, on this machine", "median", "99 of 100");
    println!("{:<34} {:>12} {:>12}\n", "upload to first action", measured.at(50), measured.at(99));
    println!("{:<34} {:>12} {:>12} {:>12}", "memory", "uploads", "resident MB", "disk MB");
    for one in &measured.memory {
        let resident = one.resident_kb.map_or_else(|| "unknown".to_owned(), |kb| format!("{:.1}", kb as f64 / 1024.0));
        println!("{:<34} {:>12} {resident:>12} {:>12.1}", one.when, one.uploads, one.disk_bytes as f64 / 1_048_576.0);
    }
    if let Some(growth) = measured.growth() {
        println!("{:<34} {growth:>12.0}", "bytes an upload, in the second half");
    }
    println!("\nEverything runs in this process, the clients and the list of their uploads too.");
    if cfg!(debug_assertions) {
        println!("This is a build for development; `cargo run --release -p xtask -- bench load` is faster.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uploads: u32, resident_kb: u64) -> Memory {
        Memory { when: String::new(), uploads, resident_kb: Some(resident_kb), disk_bytes: 0 }
    }

    #[test]
    fn growth_is_that_of_the_second_half() {
        let mut measured = Measured {
            pipelines: 1,
            uploads: 100,
            burst: 1,
            deliveries: 0,
            ended: std::collections::BTreeMap::new(),
            took_ms: 2_000,
            until_action: (1..=100).collect(),
            memory: vec![at(0, 10), at(50, 500), at(100, 600)],
            found: Found::default(),
        };
        assert_eq!(measured.growth(), Some(2048.0));
        assert_eq!((measured.at(50), measured.at(99), measured.per_second()), (50, 99, 50.0));
        measured.memory.clear();
        assert_eq!(measured.growth(), None);
    }
}
