//! Habits that a reader should be able to rely on everywhere.

use std::path::Path;

use crate::workspace::{self, assert_none};

/// Most lines a Rust file may have: what fits in one head.
const LINES_MAX: usize = 500;

/// From here on a file is named in the test's output, so that it is split before it must be.
const LINES_LONG: usize = 400;

/// Most lines of a function's `main.rs`: wiring only.
const MAIN_LINES_MAX: usize = 40;

/// Starts of paths that exist on one machine only. Assembled, so that this file has none.
const MACHINE_PATHS: [&str; 3] = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];

/// Kinds of files that are written by hand.
const TEXTS: [&str; 9] = [".rs", ".toml", ".md", ".json", ".yaml", ".yml", ".sql", ".sh", ".py"];

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    for file in workspace::files(&[".rs"]) {
        let lines = workspace::read(&file).lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{file}: {lines} lines; split it"));
        } else if lines > LINES_LONG {
            println!("{file}: {lines} lines, of at most {LINES_MAX}");
        }
    }
    assert_none("long files", &complaints);
}

#[test]
fn functions_are_wired_in_a_few_lines() {
    let mut complaints = Vec::new();
    for member in workspace::members() {
        let folder = member.folder();
        if folder.starts_with("functions/") {
            let lines = workspace::read(&format!("{folder}/src/main.rs")).lines().count();
            if lines > MAIN_LINES_MAX {
                complaints.push(format!("{folder}/src/main.rs: {lines} lines, at most {MAIN_LINES_MAX}: move logic to its lib.rs or to engine"));
            }
        }
    }
    assert_none("wiring", &complaints);
}

#[test]
fn every_crate_is_explained() {
    let mut complaints = Vec::new();
    for member in workspace::members() {
        let folder = member.folder();
        let own = workspace::root().join(&folder).join("README.md").is_file();
        // The README beside it may do, where it gives the crate a line of its own.
        let beside = Path::new(&folder).parent().map(|parent| workspace::root().join(parent).join("README.md"));
        let name = folder.rsplit('/').next().expect("a split has a first part");
        let named = beside
            .and_then(|readme| std::fs::read_to_string(readme).ok())
            .is_some_and(|text| text.contains(&format!("`{name}`")));
        if !own && !named {
            complaints.push(format!("{folder}: needs a README.md, or a line with `{name}` in the README.md beside it"));
        }
    }
    assert_none("crates without explanation", &complaints);
}

#[test]
fn every_crate_opens_with_its_rules() {
    let mut complaints = Vec::new();
    for member in workspace::members() {
        let folder = member.folder();
        if !folder.starts_with("functions/") && !folder.starts_with("shared/") {
            continue;
        }
        let text = workspace::read(&format!("{folder}/src/lib.rs"));
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for part in ["**May touch**", "**Architecture invariants**"] {
            if !header.iter().any(|line| line.contains(part)) {
                complaints.push(format!("{folder}/src/lib.rs: its head lacks {part}"));
            }
        }
    }
    assert_none("crates without rules", &complaints);
}

#[test]
fn links_between_documents_resolve() {
    let mut complaints = Vec::new();
    for file in workspace::files(&[".md"]) {
        let text = workspace::read(&file);
        let folder = workspace::root().join(&file).parent().expect("a file lies in a folder").to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().expect("a split has a first part");
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !folder.join(path).exists() {
                complaints.push(format!("{file}: {target} leads nowhere"));
            }
        }
    }
    assert_none("links", &complaints);
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    let mut complaints = Vec::new();
    for file in workspace::files(&TEXTS) {
        for (number, line) in workspace::read(&file).lines().enumerate() {
            if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
                complaints.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("paths of one machine", &complaints);
}

#[test]
fn every_crate_obeys_the_lints() {
    let mut complaints = Vec::new();
    for member in workspace::members() {
        let manifest = workspace::read(&format!("{}/Cargo.toml", member.folder()));
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{}/Cargo.toml lacks [lints] workspace = true", member.folder()));
        }
    }
    assert_none("lints", &complaints);
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = workspace::read("Cargo.toml");
    let (_, section) = manifest.split_once("[workspace.dependencies]\n").expect("the workspace has dependencies");
    let mut complaints = Vec::new();
    let mut has_heading = false;
    for line in section.lines().take_while(|line| !line.starts_with('[')) {
        if line.trim().is_empty() {
            has_heading = false;
        } else if line.starts_with('#') {
            has_heading = true;
        } else if !has_heading && !line.contains(" # ") {
            complaints.push(format!("{line}: say why, on the line or in a comment above its group"));
        }
    }
    assert_none("dependencies without reason", &complaints);
}
