//! `cargo xtask adopt`: the template of what outlives a stack and of nothing else, for a stack that takes it on.
//!
//! A change set of type IMPORT makes nothing and changes nothing, so its template holds what is imported, without a transform and outputs. Each
//! resource is as the whole template has it: the deployment after it finds nothing to change there.

use anyhow::Context;

use crate::workspace;

const TEMPLATE: &str = "infra/template.yaml";

/// What outlives a stack, and before it what it refers to.
const KEPT: [(&str, &[&str]); 3] =
    [("Parameters", &["KeyArn"]), ("Conditions", &["HasKey"]), ("Resources", &["Table", "Bucket", "DeadLetters"])];

/// Prints it.
///
/// # Errors
/// A template that cannot be read, or that lacks one of them.
pub(crate) fn run() -> anyhow::Result<()> {
    let whole = std::fs::read_to_string(workspace::root().join(TEMPLATE)).context("read the template")?;
    print!("{}", cut(&whole)?);
    Ok(())
}

fn cut(whole: &str) -> anyhow::Result<String> {
    let mut kept = "AWSTemplateFormatVersion: \"2010-09-09\"\n".to_owned();
    for (section, names) in KEPT {
        kept += &format!("{section}:\n");
        for name in names {
            let lines =
                member(whole, section, name).with_context(|| format!("{TEMPLATE} has no {name} in {section}"))?;
            kept += &format!("  {name}:{}\n", lines.join("\n"));
        }
    }
    Ok(kept)
}

/// What stands after the name, and the deeper lines below it.
fn member<'a>(whole: &'a str, section: &str, name: &str) -> Option<Vec<&'a str>> {
    let (_, section) = whole.split_once(&format!("\n{section}:"))?;
    let (_, from) = section.split_once(&format!("\n  {name}:"))?;
    let mut lines = from.lines();
    let first = lines.next()?;
    Some(std::iter::once(first).chain(lines.take_while(|line| line.starts_with("    "))).collect())
}

#[cfg(test)]
mod tests {
    use yaml_rust2::{Yaml, YamlLoader};

    use super::*;

    #[test]
    fn what_is_imported_is_as_the_template_has_it_and_nothing_else_is_there() {
        let text = std::fs::read_to_string(workspace::root().join(TEMPLATE)).unwrap();
        let load = |text: &str| YamlLoader::load_from_str(text).unwrap().swap_remove(0);
        let (whole, adopted) = (load(&text), load(&cut(&text).unwrap()));
        let kept = |resource: &Yaml| resource["DeletionPolicy"].as_str() == Some("Retain");
        let state = ["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"];
        let resources = whole["Resources"].as_hash().unwrap().iter();
        let state: Vec<&Yaml> = resources
            .filter(|(_, resource)| state.contains(&resource["Type"].as_str().unwrap_or_default()))
            .map(|(id, _)| id)
            .collect();
        let imported = adopted["Resources"].as_hash().unwrap();
        assert_eq!(imported.keys().collect::<Vec<_>>(), state);
        for (id, resource) in imported {
            assert!(kept(resource), "{id:?}: CloudFormation imports what has a DeletionPolicy alone");
            assert_eq!(*resource, whole["Resources"][id.as_str().unwrap()]);
        }
        assert_eq!(adopted["Conditions"]["HasKey"], whole["Conditions"]["HasKey"]);
        assert_eq!(adopted["Parameters"]["KeyArn"], whole["Parameters"]["KeyArn"]);
        for none in ["Transform", "Outputs"] {
            assert!(adopted[none].is_badvalue(), "{none}");
        }
    }
}
