//! The table of phases and events in `statemachine/README.md` is the one the code obeys.

use std::fs;

use crate::workspace;

const README: &str = "statemachine/README.md";
const BEGIN: &str = "<!-- phase table: generated -->\n";
const END: &str = "<!-- end of phase table -->";

#[test]
fn the_readme_shows_the_phases_the_code_has() {
    let readme = workspace::read(README);
    let (before, rest) = readme.split_once(BEGIN).unwrap_or_else(|| panic!("{README} lacks {BEGIN}"));
    let (shown, after) = rest.split_once(END).unwrap_or_else(|| panic!("{README} lacks {END}"));
    let generated = format!("\n{}\n", domain::phase_table());
    if shown == generated {
        return;
    }
    assert!(
        wants_update(),
        "{README} shows another table than domain::phase_table(); regenerate it with\n  \
         UPDATE=1 cargo test -p tests --test structure"
    );
    fs::write(workspace::root().join(README), format!("{before}{BEGIN}{generated}{END}{after}"))
        .expect("the README can be written");
}

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}
