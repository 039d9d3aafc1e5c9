//! The shipped state machines, flattened: every state of every scope, by name.

use serde_json::Value;

use crate::workspace;

/// A shipped state machine.
pub(crate) struct Machine {
    /// File, relative to the root.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: String,
    definition: Value,
}

/// One state of a machine.
pub(crate) struct State<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its fields.
    pub(crate) fields: &'a Value,
}

impl Machine {
    /// Every state, those of Map and Parallel included.
    pub(crate) fn states(&self) -> Vec<State<'_>> {
        let mut found = Vec::new();
        collect(&self.definition, &mut found);
        found
    }

    /// Its text as it is deployed in `partition`, with the other `${...}` left as they are.
    pub(crate) fn in_partition(&self, partition: &str) -> String {
        self.text.replace("${Partition}", partition)
    }

    /// Names in `${...}`, which a deployment fills in. Sorted, each once.
    pub(crate) fn substitutions(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .text
            .split("${")
            .skip(1)
            .map(|rest| rest.split('}').next().expect("a split has a first part").to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl<'a> State<'a> {
    /// The `${...}` name of the Lambda function a task calls, where it calls one.
    pub(crate) fn function(&self) -> Option<&'a str> {
        self.fields["Resource"].as_str().filter(|resource| resource.contains(":lambda:invoke"))?;
        self.fields["Arguments"]["FunctionName"].as_str()?.strip_prefix("${")?.strip_suffix('}')
    }
}

/// Every `*.asl.json` below `statemachine/`.
pub(crate) fn machines() -> Vec<Machine> {
    let files = workspace::files(&[".asl.json"]);
    let shipped = files.into_iter().filter(|file| file.starts_with("statemachine/"));
    shipped
        .map(|file| {
            let text = workspace::read(&file);
            let definition = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            Machine { file, text, definition }
        })
        .collect()
}

fn collect<'a>(scope: &'a Value, found: &mut Vec<State<'a>>) {
    for (name, fields) in scope["States"].as_object().into_iter().flatten() {
        found.push(State { name, fields });
        collect(&fields["ItemProcessor"], found);
        for branch in fields["Branches"].as_array().into_iter().flatten() {
            collect(branch, found);
        }
    }
}
