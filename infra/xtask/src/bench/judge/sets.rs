//! Sets of cases with known truth.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::judge::Case;

/// Cases and what is true of them.
pub(super) struct Set {
    pub(super) name: String,
    pub(super) cases: Vec<(Case, Truth)>,
}

/// What is true of a case.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Truth {
    pub(super) id: String,
    /// What was done to it.
    pub(super) kind: String,
    /// Where it comes from.
    #[serde(default)]
    pub(super) source: String,
    /// Whether the deploy did harm; of a case with one deploy.
    #[serde(default)]
    pub(super) degraded: bool,
    /// Points after the deploy at which harm begins.
    #[serde(default)]
    pub(super) onset: usize,
    /// Which suspect did it; of a case with several.
    #[serde(default)]
    pub(super) guilty: Option<String>,
    /// `NotEnoughData` where too little was seen for any claim.
    #[serde(default)]
    pub(super) expect: Option<String>,
}

/// Reads every set of a folder, by name.
///
/// # Errors
/// When a file cannot be read, a line is not valid, or a case has no truth.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<Set>> {
    let mut names = BTreeMap::new();
    for entry in folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let name = file.strip_suffix(".jsonl.gz").or_else(|| file.strip_suffix(".jsonl"));
        if let Some(name) = name.filter(|name| !name.ends_with(".truth")) {
            names.insert(name.to_owned(), path);
        }
    }
    if names.is_empty() {
        bail!("{} holds no set of cases", folder.display());
    }
    names
        .into_iter()
        .map(|(name, path)| {
            let truths = read_truths(&folder.join(format!("{name}.truth.jsonl")))?;
            let cases = read_cases(&path, &truths).with_context(|| format!("{} is no set", path.display()))?;
            Ok(Set { name, cases })
        })
        .collect()
}

fn read_truths(path: &Path) -> anyhow::Result<BTreeMap<String, Truth>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let truth: Truth = serde_json::from_str(line).with_context(|| format!("{} is no truth", path.display()))?;
            Ok((truth.id.clone(), truth))
        })
        .collect()
}

fn read_cases(path: &Path, truths: &BTreeMap<String, Truth>) -> anyhow::Result<Vec<(Case, Truth)>> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text)?;
    }
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let case = Case::parse(line).with_context(|| format!("line {}", number + 1))?;
            let id = match &case {
                Case::Deploy(case) => &case.id,
                Case::Suspects(case) => &case.id,
            };
            let truth = truths.get(id).with_context(|| format!("line {}: {id} has no truth", number + 1))?;
            Ok((case, truth.clone()))
        })
        .collect()
}
