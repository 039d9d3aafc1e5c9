//! The page of threats claims nothing that no test holds.

use crate::workspace::{self, assert_none};

const PAGE: &str = "infra/threats.md";

/// References such as `tests/it/access.rs: a_name`, as file and name.
fn references(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once(": "))
        .filter(|(file, _)| file.ends_with(".rs") || file.ends_with(".py"))
        .collect()
}

/// Whether the file has a function of this name, in Rust one that is a test.
fn has_test(file: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(workspace::root().join(file)).unwrap_or_default();
    if file.ends_with(".py") {
        return text.contains(&format!("def {name}("));
    }
    let Some((before, _)) = text.split_once(&format!("fn {name}()")) else { return false };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

#[test]
fn every_claim_names_a_test_that_is_there() {
    let page = workspace::read(PAGE);
    let named = references(&page);
    let mut complaints: Vec<String> = named
        .iter()
        .filter(|(file, name)| !has_test(file, name))
        .map(|(file, name)| format!("{file} has no test {name}"))
        .collect();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let is_head = line.ends_with("| test |") || line.starts_with("| ---");
        if !is_head && references(line).is_empty() {
            complaints.push(format!("no test: {line}"));
        }
    }
    assert!(named.len() > 30, "the page was not read");
    assert_none("claims", &complaints);
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    assert!(has_test("tests/structure/threats.rs", "a_name_that_is_no_test_is_noticed"));
    assert!(!has_test("tests/structure/threats.rs", "references"));
    assert!(!has_test("tests/structure/nowhere.rs", "references"));
    assert_eq!(references("`a.rs: b`, `c: d` and `e.py: f`"), [("a.rs", "b"), ("e.py", "f")]);
}
