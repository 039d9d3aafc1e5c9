//! Who may build on whom. The table is the design; a crate that needs more needs a reason first.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{self, Member, assert_none};

/// What a member may link; its tests may use more.
struct Direction {
    /// Name of a package, or a folder of packages ending in `/`.
    of: &'static str,
    /// Packages of this workspace.
    ours: Ours,
    /// Packages from outside.
    foreign: Foreign,
}

enum Ours {
    These(&'static [&'static str]),
    /// Every crate below `shared/`.
    Shared,
    Any,
}

enum Foreign {
    /// These and no others.
    Only(&'static [&'static str]),
    /// Whatever, but for these families.
    Without(&'static [Family]),
}

/// Packages that belong to one side of the architecture.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// Polls futures. Pure code has no need of it.
    AsyncRuntime,
    /// Speaks to AWS.
    Aws,
    /// The Lambda Runtime API.
    LambdaRuntime,
    /// Serves or stores on this machine.
    Local,
    /// For automation only; a library says which errors it has.
    Automation,
}

use Family::{AsyncRuntime, Automation, Aws, LambdaRuntime, Local};
use Foreign::{Only, Without};
use Ours::{Any, Shared, These};

const DIRECTIONS: &[Direction] = &[
    Direction {
        of: "domain",
        ours: These(&[]),
        // Distributions for the judge of metrics, patterns of VariableCheck rules; and the last four for what is delivered to webhooks: signatures,
        // addresses, filters.
        foreign: Only(&[
            "serde",
            "serde_json",
            "thiserror",
            "jiff",
            "uuid",
            "sha2",
            "base64",
            "hex",
            "statrs",
            "regex-lite",
            "hmac",
            "sha1",
            "ipnet",
            "serde_json_path",
        ]),
    },
    Direction { of: "contract", ours: These(&["domain"]), foreign: Only(&["serde"]) },
    Direction {
        of: "protocol",
        ours: These(&["domain"]),
        foreign: Without(&[AsyncRuntime, Aws, LambdaRuntime, Local, Automation]),
    },
    Direction {
        of: "engine",
        ours: These(&["domain", "contract"]),
        foreign: Without(&[AsyncRuntime, Aws, LambdaRuntime, Local, Automation]),
    },
    Direction {
        of: "store",
        ours: These(&["engine", "domain"]),
        foreign: Without(&[LambdaRuntime, Local, Automation]),
    },
    Direction { of: "aws", ours: These(&["engine", "domain"]), foreign: Without(&[LambdaRuntime, Local, Automation]) },
    // The HTTP connector it is given is the AWS SDK's.
    Direction {
        of: "github",
        ours: These(&["engine"]),
        foreign: Without(&[AsyncRuntime, LambdaRuntime, Local, Automation]),
    },
    Direction { of: "runtime", ours: These(&["engine"]), foreign: Without(&[Local, Automation]) },
    Direction { of: "functions/", ours: Shared, foreign: Without(&[Aws, Local, Automation]) },
    Direction { of: "local", ours: Any, foreign: Without(&[]) },
    // Stand-ins for AWS know nothing of pipelines: clock and entropy are all they take from us.
    Direction {
        of: "infra/local/",
        ours: These(&["engine", "runtime"]),
        foreign: Without(&[Aws, LambdaRuntime, Automation]),
    },
    Direction { of: "xtask", ours: Any, foreign: Without(&[]) },
    Direction { of: "tests", ours: Any, foreign: Without(&[]) },
];

/// What a function's handler must not need: the simulator links handlers without it, so it hangs on feature `aws`.
const EDGE_OF_FUNCTIONS: [&str; 6] = ["aws", "github", "store", "runtime", "lambda_runtime", "tokio"];

/// Crates that stay free of these families however deep one looks.
const PURE: [(&str, &[Family]); 4] = [
    ("domain", &[AsyncRuntime, Aws, LambdaRuntime, Local]),
    ("contract", &[AsyncRuntime, Aws, LambdaRuntime, Local]),
    ("protocol", &[AsyncRuntime, Aws, LambdaRuntime, Local]),
    ("engine", &[AsyncRuntime, Aws, LambdaRuntime, Local]),
];

impl Family {
    fn has(self, package: &str) -> bool {
        match self {
            AsyncRuntime => ["tokio", "async-std", "smol", "async-executor"].contains(&package),
            Aws => package.starts_with("aws-"),
            LambdaRuntime => ["lambda_runtime", "lambda_http"].contains(&package),
            Local => ["axum", "dynoxide-rs", "hyper", "jsonata-core", "rusqlite", "s3s"].contains(&package),
            Automation => ["anyhow", "clap", "insta", "proptest", "tempfile"].contains(&package),
        }
    }
}

impl Direction {
    fn covers(&self, member: &Member) -> bool {
        if self.of.ends_with('/') { member.folder().starts_with(self.of) } else { member.name == self.of }
    }

    fn complaints(&self, member: &Member, shared: &BTreeSet<String>) -> Vec<String> {
        let mut found = Vec::new();
        for dependency in member.linked() {
            let package = dependency.name.as_str();
            let allowed = if dependency.path.is_some() {
                match self.ours {
                    These(names) => names.contains(&package),
                    Shared => shared.contains(package),
                    Any => true,
                }
            } else {
                match self.foreign {
                    Only(names) => names.contains(&package),
                    Without(families) => !families.iter().any(|family| family.has(package)),
                }
            };
            if !allowed {
                found.push(format!(
                    "{} must not link {package} (tests/structure/directions.rs, {:?})",
                    member.name, self.of
                ));
            }
        }
        found
    }
}

#[test]
fn dependencies_run_one_way() {
    let members = workspace::members();
    let in_shared = |member: &&Member| member.folder().starts_with("shared/");
    let shared = members.iter().filter(in_shared).map(|member| member.name.clone()).collect();
    let mut complaints = Vec::new();
    for member in &members {
        match DIRECTIONS.iter().find(|direction| direction.covers(member)) {
            Some(direction) => complaints.extend(direction.complaints(member, &shared)),
            None => complaints.push(format!("{} is in no line of DIRECTIONS; say what it may link", member.folder())),
        }
    }
    assert_none("dependencies", &complaints);
}

#[test]
fn what_is_deployed_never_needs_the_stand_in() {
    let members = workspace::members();
    let infra: Vec<&str> = members
        .iter()
        .filter(|member| member.folder().starts_with("infra/"))
        .map(|member| member.name.as_str())
        .collect();
    let mut complaints = Vec::new();
    for member in &members {
        if member.folder().starts_with("functions/") || member.folder().starts_with("shared/") {
            let theirs = member.dependencies.iter().filter(|dependency| infra.contains(&dependency.name.as_str()));
            complaints
                .extend(theirs.map(|dependency| format!("{} uses {}, even if in tests", member.name, dependency.name)));
        }
    }
    assert_none("crates of infra/ used by what is deployed", &complaints);
}

#[test]
fn handlers_build_without_sdk_and_runtime() {
    let mut complaints = Vec::new();
    for member in workspace::members() {
        if member.folder().starts_with("functions/") {
            let edge = member.linked().filter(|one| EDGE_OF_FUNCTIONS.contains(&one.name.as_str()) && !one.optional);
            complaints
                .extend(edge.map(|one| format!("{}: make {} optional, behind feature aws", member.name, one.name)));
        }
    }
    assert_none("handlers that need more than ports", &complaints);
}

#[test]
fn pure_crates_are_pure_however_deep_one_looks() {
    let locked = locked_dependencies(&workspace::read("Cargo.lock"));
    let mut complaints = Vec::new();
    for (name, families) in PURE {
        for (package, path) in reachable(&locked, name) {
            for family in families.iter().filter(|family| family.has(&package)) {
                complaints.push(format!("{name} reaches {package} ({family:?}) by {path}"));
            }
        }
    }
    assert_none("pure crates", &complaints);
}

/// Names of the packages each package of a lock file needs. Versions are left out: families go by name.
fn locked_dependencies(lock: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in lock.lines() {
        if let Some(name) = line.strip_prefix("name = \"") {
            current = name.trim_end_matches('"').to_owned();
        } else if let Some(dependency) = line.strip_prefix(" \"") {
            let name = dependency.split(['"', ' ']).next().expect("a split has a first part");
            packages.entry(current.clone()).or_default().insert(name.to_owned());
        }
    }
    packages
}

/// Everything `from` needs, with one way to it.
fn reachable(locked: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([(from.to_owned(), from.to_owned())]);
    let mut open = vec![from.to_owned()];
    while let Some(package) = open.pop() {
        let path = found[&package].clone();
        for next in locked.get(&package).into_iter().flatten() {
            if !found.contains_key(next) {
                found.insert(next.clone(), format!("{path} > {next}"));
                open.push(next.clone());
            }
        }
    }
    found
}
