//! The model of Lastgood's own operations, generated from their Rust types: the table that this crate embeds, and the
//! files by which botocore's clients know the service. `UPDATE=1` writes them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    ErrorCode, Service,
    extension::{API_VERSION, extensions, meaning},
    wire::described::{Describe, Described, Description, Form, OperationDescription, Scalar},
};
use serde_json::{Value, json};

use crate::{
    botocore::{paginators, service_model},
    table,
};

/// Every shape that the operations are made of.
#[derive(Default)]
pub(crate) struct Shapes {
    /// Lines of the table, by name.
    pub(crate) lines: BTreeMap<String, Value>,
    /// Texts, by shape, and by shape and member.
    pub(crate) docs: BTreeMap<(String, Option<String>), String>,
}

impl Shapes {
    fn of(operations: &[OperationDescription]) -> Self {
        let mut shapes = Self::default();
        for operation in operations {
            shapes.add(operation.input);
            shapes.add(operation.output);
            for error in operation.errors {
                let meaning = meaning(*error);
                let meaning = meaning.unwrap_or_else(|| panic!("extension::meaning lacks {error}"));
                shapes.borrow(error.name());
                shapes.docs.insert((error.name().to_owned(), None), meaning.to_owned());
            }
        }
        shapes
    }

    /// Adds a shape with everything it is made of; its name.
    fn add(&mut self, describe: Describe) -> String {
        let Description { name, doc, form } = describe();
        if matches!(form, Form::CodePipeline) {
            self.borrow(&name);
            return name;
        }
        let parts = self.parts(&name, form);
        match self.lines.get(&name) {
            None => {
                self.lines.insert(name.clone(), parts);
            }
            Some(before) => assert_eq!(*before, parts, "two shapes are called {name}"),
        }
        if !doc.is_empty() {
            self.docs.insert((name.clone(), None), doc);
        }
        name
    }

    fn parts(&mut self, name: &str, form: Form) -> Value {
        match form {
            Form::CodePipeline => unreachable!("borrowed shapes bring their own lines"),
            Form::Scalar(scalar) => scalar_line(scalar),
            Form::List { item, max } => {
                let mut line = json!({"member": self.add(item), "type": "list"});
                if let Some(max) = max {
                    line["max"] = json!(max);
                }
                line
            }
            Form::Map { key, value } => json!({"key": self.add(key), "type": "map", "value": self.add(value)}),
            Form::Structure(members) => {
                let (mut pairs, mut required) = (Vec::new(), Vec::new());
                for member in members {
                    let on_wire = camel_case(member.name);
                    pairs.push(json!([on_wire, self.add(member.shape)]));
                    if member.required {
                        required.push(on_wire.clone());
                    }
                    if !member.doc.is_empty() {
                        self.docs.insert((name.to_owned(), Some(on_wire)), member.doc);
                    }
                }
                let mut line = json!({"members": pairs, "type": "structure"});
                if !required.is_empty() {
                    line["required"] = json!(required);
                }
                line
            }
        }
    }

    /// Takes a shape over from CodePipeline's table, with everything it is made of.
    fn borrow(&mut self, name: &str) {
        let line = &table::of(Service::CodePipeline)["shapes"][name];
        assert!(line.is_object(), "CodePipeline's table has no shape {name}");
        if let Some(before) = self.lines.get(name) {
            assert_eq!(before, line, "a shape of ours and one of CodePipeline's are called {name}");
            return;
        }
        self.lines.insert(name.to_owned(), line.clone());
        let members = line["members"].as_array().into_iter().flatten().map(|pair| &pair[1]);
        let parts = ["member", "key", "value"].into_iter().map(|part| &line[part]);
        for part in members.chain(parts).filter_map(Value::as_str) {
            self.borrow(part);
        }
    }
}

fn scalar_line(Scalar { kind, min, max, pattern, values }: Scalar) -> Value {
    let mut line = json!({ "type": kind });
    for (key, bound) in [("min", min), ("max", max)] {
        if let Some(bound) = bound {
            line[key] = json!(bound);
        }
    }
    if let Some(pattern) = pattern {
        line["pattern"] = json!(pattern);
    }
    if !values.is_empty() {
        line["enum"] = json!(values);
    }
    line
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + rest
    })
}

/// The table: one line per operation and shape, as `cargo xtask model` writes CodePipeline's.
fn compact(operations: &[OperationDescription], shapes: &Shapes) -> String {
    let lines = |entries: BTreeMap<&str, Value>| {
        let lines: Vec<String> =
            entries.iter().map(|(name, line)| format!("{}: {}", json!(name), sorted(line))).collect();
        lines.join(",\n")
    };
    let operations = operations.iter().map(|operation| {
        let errors: Vec<&str> = operation.errors.iter().map(|error| error.name()).collect();
        let (input, output) = ((operation.input)().name, (operation.output)().name);
        (operation.name, json!({"errors": errors, "input": input, "output": output}))
    });
    format!(
        "{{\n\"target\": {},\n\"namespace\": \"lastgood\",\n\"operations\": {{\n{}\n}},\n\"shapes\": {{\n{}\n}}\n}}\n",
        json!(Service::Lastgood.target()),
        lines(operations.collect()),
        lines(shapes.lines.iter().map(|(name, line)| (name.as_str(), line.clone())).collect()),
    )
}

/// A line with its keys in order, whatever order this build of `serde_json` keeps.
fn sorted(line: &Value) -> String {
    let members: BTreeMap<&String, &Value> = line.as_object().unwrap().iter().collect();
    serde_json::to_string(&members).unwrap()
}

#[test]
fn the_models_of_our_own_operations_are_those_of_their_types() {
    let mut operations = extensions();
    operations.sort_by_key(|operation| operation.name);
    let shapes = Shapes::of(&operations);
    let folder = format!("../../infra/clients/botocore/lastgood/{API_VERSION}");
    check(&format!("model/lastgood-{API_VERSION}.json"), &compact(&operations, &shapes));
    check(&format!("{folder}/service-2.json"), &service_model(&operations, &shapes));
    check(&format!("{folder}/paginators-1.json"), &paginators(&operations));
}

#[test]
fn our_own_operations_are_documented() {
    let operations = extensions();
    let shapes = Shapes::of(&operations);
    for operation in &operations {
        assert!(!operation.doc.is_empty(), "{} needs a doc comment", operation.name);
        assert!(operation.errors.contains(&ErrorCode::ValidationException), "{}", operation.name);
    }
    let borrowed: BTreeSet<&String> = table::of(Service::CodePipeline)["shapes"].as_object().unwrap().keys().collect();
    for (name, line) in shapes.lines.iter().filter(|(name, _)| !borrowed.contains(name)) {
        for member in line["members"].as_array().into_iter().flatten() {
            let member = member[0].as_str().unwrap().to_owned();
            assert!(
                shapes.docs.contains_key(&(name.clone(), Some(member.clone()))),
                "{name}.{member} needs a doc comment"
            );
        }
    }
}

#[test]
fn a_shape_taken_over_brings_what_it_is_made_of() {
    let mut shapes = Shapes::default();
    let name = shapes.add(<domain::PipelineDeclaration as Described>::describe);
    assert_eq!(name, "PipelineDeclaration");
    for part in ["StageDeclaration", "ActionConfigurationMap", "RuleDeclaration", "StageRetryMode"] {
        assert_eq!(shapes.lines[part], table::of(Service::CodePipeline)["shapes"][part], "{part}");
    }
}

/// Compares a checked-in file, seen from this package, with what it should be; `UPDATE=1` writes it.
fn check(file: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if update() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{file} is not what the types say. Rewrite it with: UPDATE=1 cargo test -p protocol service_model"
    );
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test asks for the files by this variable")]
fn update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}
