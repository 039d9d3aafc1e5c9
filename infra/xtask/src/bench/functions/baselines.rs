//! The same in Python and Node: each installed below `target/`, in a version that does not change by itself.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::workspace;

/// What a function in Python has in Lambda. The clients' tests pin the same.
const BOTO3: &str = "boto3==1.44.5";
/// The same in Node.
const AWS_SDK: &str = "@aws-sdk/client-dynamodb@3.1138.0";
const PYTHON: &str = include_str!("handler.py");
const NODE: &str = include_str!("handler.mjs");

/// A program to compare with.
pub(super) struct Baseline {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) script: PathBuf,
}

/// Those that can be had here; of the others a line says why not.
pub(super) fn baselines() -> Vec<Baseline> {
    let tried = [("Python, boto3", python()), ("Node, AWS SDK v3", node())];
    let mut found = Vec::new();
    for (name, baseline) in tried {
        match baseline {
            Ok((program, script)) => found.push(Baseline { name, program, script }),
            Err(error) => println!("{name} is not compared with: {error:#}"),
        }
    }
    found
}

fn python() -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = folder("python")?;
    let program = folder.join("bin/python");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    run(Command::new(&program).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", BOTO3]))?;
    let script = folder.join("handler.py");
    std::fs::write(&script, PYTHON)?;
    // Lambda has the SDK compiled as well.
    run(Command::new(&program).args(["-m", "compileall", "-q"]).arg(folder.join("lib")))?;
    Ok((program, script))
}

fn node() -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = folder("node")?;
    let install = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error", AWS_SDK];
    run(Command::new("npm").args(install).arg("--prefix").arg(&folder))?;
    let script = folder.join("handler.mjs");
    std::fs::write(&script, NODE)?;
    Ok((which("node")?, script))
}

fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace::root().join("target/bench").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// Where a program is: it is started without a PATH.
fn which(program: &str) -> anyhow::Result<PathBuf> {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output()?;
    ensure!(found.status.success(), "there is no {program}");
    Ok(PathBuf::from(String::from_utf8_lossy(&found.stdout).trim()))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("there is no {program}"))?;
    ensure!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
