//! The reference page says what the models and `api::differences` say. `UPDATE=1` writes it.

use std::{fmt::Write as _, fs, path::Path};

use protocol::{Operation, Service};
use serde_json::Value;

use crate::models;

const PAGE: &str = "OPERATIONS.md";
const HEAD: &str = "# Operations\n\n\
    What the endpoint serves, operation by operation. Required members of an input are **bold**; every constraint of the \
    service model is checked, and all violations come in one `ValidationException`. Errors are those that the model declares; \
    every operation can also answer the common ones: `AccessDeniedException`, `ThrottlingException`, \
    `UnrecognizedClientException`, `InvalidSignatureException`, `MissingAuthenticationTokenException`, \
    `IncompleteSignatureException`, `UnknownOperationException`, `SerializationException`, `InternalFailure` and \
    `ServiceUnavailable`.\n\n\
    Generated; what differs from CodePipeline is written in [src/reference.rs](src/reference.rs). Rewrite it with \
    `UPDATE=1 cargo test -p api --test it reference`.\n";

#[test]
fn the_page_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let generated = page();
    if fs::read_to_string(&path).is_ok_and(|text| text == generated) {
        return;
    }
    assert!(wants_update(), "{PAGE} is not what the code says; run UPDATE=1 cargo test -p api --test it reference");
    fs::write(path, generated).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (service, title) in [(Service::CodePipeline, "CodePipeline's"), (Service::Lastgood, "Lastgood's own")] {
        let _ = write!(page, "\n## {title}\n\nTarget `{}`.\n", service.target());
        for operation in Operation::ALL.iter().filter(|operation| operation.service() == service) {
            write_operation(&mut page, *operation);
        }
    }
    page
}

fn write_operation(page: &mut String, operation: Operation) {
    let table = models::table(operation.service());
    let _ = writeln!(page, "\n### {}\n", operation.name());
    let shapes = &table["operations"][operation.name()];
    for side in ["input", "output"] {
        let members = shapes[side].as_str().map(|name| members(&table["shapes"][name])).unwrap_or_default();
        let members = if members.is_empty() { "nothing".to_owned() } else { members };
        let _ = writeln!(page, "- {side}: {members}");
    }
    let errors: Vec<&str> = operation.declared_errors().iter().map(|name| name.trim_end_matches("Exception")).collect();
    let _ = writeln!(page, "- errors: {}", errors.join(", "));
    for difference in api::differences(operation) {
        let _ = writeln!(page, "- **differs**: {difference}");
    }
}

fn members(shape: &Value) -> String {
    let required: Vec<&Value> = shape["required"].as_array().into_iter().flatten().collect();
    let names = shape["members"].as_array().into_iter().flatten().map(|member| {
        let name = member[0].as_str().unwrap_or_default();
        if required.contains(&&member[0]) { format!("**{name}**") } else { name.to_owned() }
    });
    names.collect::<Vec<_>>().join(", ")
}
