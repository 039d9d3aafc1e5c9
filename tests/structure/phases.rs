//! The tables of phases and events in `statemachine/README.md` are those the code obeys.

use std::fs;

use crate::workspace;

const README: &str = "statemachine/README.md";

#[test]
fn the_readme_shows_the_phases_the_code_has() {
    check("phase table", &domain::phase_table());
}

#[test]
fn the_readme_shows_the_job_statuses_the_code_has() {
    check("job table", &domain::job_table());
}

fn check(name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- end of {name} -->"));
    let readme = workspace::read(README);
    let (before, rest) = readme.split_once(&begin).unwrap_or_else(|| panic!("{README} lacks {begin}"));
    let (shown, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{README} lacks {end}"));
    let generated = format!("\n{table}\n");
    if shown == generated {
        return;
    }
    assert!(
        wants_update(),
        "{README} shows another {name} than the code has; regenerate it with\n  \
         UPDATE=1 cargo test -p tests --test structure -- --test-threads 1"
    );
    fs::write(workspace::root().join(README), format!("{before}{begin}{generated}{end}{after}"))
        .expect("the README can be written");
}

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}
