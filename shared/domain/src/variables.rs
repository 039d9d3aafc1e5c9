//! References such as `#{namespace.KEY}` in configuration values (spec 1.6).

use std::collections::BTreeMap;

/// Most bytes of a resolved configuration, keys and values together: CodePipeline's own limit (spec 1.6).
const RESOLVED_BYTES_MAX: usize = 100 * 1024;

/// What references can refer to while an action starts.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `#{codepipeline.PipelineExecutionId}`.
    pub execution_id: &'a str,
    /// `#{variables.NAME}`: the pipeline's variables, as resolved when the execution started.
    pub variables: &'a BTreeMap<String, String>,
    /// `#{namespace.KEY}`: output variables of actions that ran, by namespace.
    pub outputs: &'a BTreeMap<String, BTreeMap<String, String>>,
}

/// A configuration cannot be resolved; the action fails with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has the name that is referred to.
    #[error(
        "Configuration key '{key}' refers to {reference}, which has no value in this execution. Check that the action \
         with that namespace ran before this one and produces that variable"
    )]
    Unresolved {
        /// Configuration key.
        key: String,
        /// The reference as written.
        reference: String,
    },
    /// It has the form of no reference.
    #[error(
        "Configuration key '{key}' contains {reference}, which is not a reference. Write #{{namespace.KEY}}, \
         #{{variables.NAME}} or #{{codepipeline.PipelineExecutionId}}"
    )]
    Malformed {
        /// Configuration key.
        key: String,
        /// The text as written.
        reference: String,
    },
    /// The resolved values are too long.
    #[error(
        "The resolved configuration is larger than {RESOLVED_BYTES_MAX} bytes, reached at configuration key '{key}'. \
         Refer to fewer or shorter variables"
    )]
    TooLarge {
        /// The key at which the limit was passed.
        key: String,
    },
}

/// Replaces every reference in the values of `configuration` by what it refers to in `scope`.
///
/// One pass: what a reference was replaced by is not looked at again, so a variable's value cannot bring in another's.
/// `#{` without a closing brace stays as it is.
///
/// # Errors
/// When a reference has no value, when something between `#{` and `}` has the form of no reference, or when the result
/// is larger than 100 KB.
pub fn resolve_configuration(
    configuration: &BTreeMap<String, String>,
    scope: &Scope<'_>,
) -> Result<BTreeMap<String, String>, ResolveError> {
    let mut left = RESOLVED_BYTES_MAX;
    let mut resolved = BTreeMap::new();
    for (key, text) in configuration {
        let mut value = String::new();
        spend(&mut left, key, key)?;
        for piece in pieces(text) {
            let piece = match piece {
                Piece::Literal(literal) => literal,
                Piece::Reference(reference) => look_up(key, &reference, scope)?,
            };
            // Before it is copied, so that many references to a long value cannot fill the memory.
            spend(&mut left, piece, key)?;
            value.push_str(piece);
        }
        resolved.insert(key.clone(), value);
    }
    Ok(resolved)
}

fn spend(left: &mut usize, text: &str, key: &str) -> Result<(), ResolveError> {
    *left = left.checked_sub(text.len()).ok_or_else(|| ResolveError::TooLarge { key: key.to_owned() })?;
    Ok(())
}

fn look_up<'a>(key: &str, reference: &Reference<'_>, scope: &Scope<'a>) -> Result<&'a str, ResolveError> {
    let value = match reference.target {
        Target::ExecutionId => Some(scope.execution_id),
        Target::Variable(name) => scope.variables.get(name).map(String::as_str),
        Target::Output { namespace, key } => {
            scope.outputs.get(namespace).and_then(|outputs| outputs.get(key)).map(String::as_str)
        }
        Target::Malformed => {
            return Err(ResolveError::Malformed { key: key.to_owned(), reference: reference.text.to_owned() });
        }
    };
    value.ok_or_else(|| ResolveError::Unresolved { key: key.to_owned(), reference: reference.text.to_owned() })
}

/// A reference as written in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// With its braces.
    pub(crate) text: &'a str,
    /// What it refers to.
    pub(crate) target: Target<'a>,
}

/// What a reference refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// The execution's id.
    ExecutionId,
    /// A variable of the pipeline.
    Variable(&'a str),
    /// An output variable of an action.
    Output {
        /// The action's namespace.
        namespace: &'a str,
        /// The variable's name.
        key: &'a str,
    },
    /// Nothing that can be referred to.
    Malformed,
}

/// The references in `text`, in order.
pub(crate) fn references(text: &str) -> Vec<Reference<'_>> {
    let reference = |piece| match piece {
        Piece::Reference(reference) => Some(reference),
        Piece::Literal(_) => None,
    };
    pieces(text).filter_map(reference).collect()
}

enum Piece<'a> {
    Literal(&'a str),
    Reference(Reference<'a>),
}

/// Cuts `text` into references and what is between them.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let reference = rest.find("#{").and_then(|start| {
            let end = start + rest[start..].find('}')? + 1;
            Some((start, end))
        });
        match reference {
            Some((0, end)) => {
                let (text, after) = rest.split_at(end);
                rest = after;
                Some(Piece::Reference(Reference { text, target: target(&text[2..end - 1]) }))
            }
            Some((start, _)) => {
                let (literal, after) = rest.split_at(start);
                rest = after;
                Some(Piece::Literal(literal))
            }
            None => Some(Piece::Literal(std::mem::take(&mut rest))),
        }
    })
}

fn target(path: &str) -> Target<'_> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '-' | '_');
    let is_name = |name: &str| !name.is_empty() && name.chars().all(allowed);
    match path.split_once('.') {
        Some((namespace, key)) if is_name(namespace) && is_name(key) => match (namespace, key) {
            ("codepipeline", "PipelineExecutionId") => Target::ExecutionId,
            ("codepipeline", _) => Target::Malformed,
            ("variables", name) => Target::Variable(name),
            (namespace, key) => Target::Output { namespace, key },
        },
        _ => Target::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    fn resolve(text: &str) -> Result<String, String> {
        let variables = map(&[("Env", "prod"), ("nested", "#{variables.Env}"), ("empty", "")]);
        let outputs = BTreeMap::from([("Src".to_owned(), map(&[("VersionId", "v1"), ("e-t@g_1", "tag")]))]);
        let scope = Scope { execution_id: "6c1c", variables: &variables, outputs: &outputs };
        resolve_configuration(&map(&[("Key", text)]), &scope)
            .map(|resolved| resolved["Key"].clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_resolved() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("#{variables.Env}", "prod"),
            ("a#{variables.Env}b#{Src.VersionId}c", "aprodbv1c"),
            ("#{variables.Env}#{variables.Env}", "prodprod"),
            ("#{codepipeline.PipelineExecutionId}", "6c1c"),
            ("#{Src.e-t@g_1}", "tag"),
            ("[#{variables.empty}]", "[]"),
            // A single pass: the value of a variable is not looked at again.
            ("#{variables.nested}", "#{variables.Env}"),
            // Not references.
            ("#{variables.Env", "#{variables.Env"),
            ("{variables.Env} # {x} ${y} #", "{variables.Env} # {x} ${y} #"),
            ("ä#{variables.Env}ß#{", "äprodß#{"),
            ("site/{datetime}/{uuid}", "site/{datetime}/{uuid}"),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        let unresolved = |reference: &str| {
            format!(
                "Configuration key 'Key' refers to {reference}, which has no value in this execution. Check that the \
                 action with that namespace ran before this one and produces that variable"
            )
        };
        let malformed = |reference: &str| {
            format!(
                "Configuration key 'Key' contains {reference}, which is not a reference. Write #{{namespace.KEY}}, \
                 #{{variables.NAME}} or #{{codepipeline.PipelineExecutionId}}"
            )
        };
        let cases = [
            ("a #{variables.env}", unresolved("#{variables.env}")),
            ("#{Src.versionid}", unresolved("#{Src.versionid}")),
            ("#{src.VersionId}", unresolved("#{src.VersionId}")),
            ("#{}", malformed("#{}")),
            ("#{Env}", malformed("#{Env}")),
            ("#{variables.}", malformed("#{variables.}")),
            ("#{.Env}", malformed("#{.Env}")),
            ("#{Src.a.b}", malformed("#{Src.a.b}")),
            ("#{ variables.Env }", malformed("#{ variables.Env }")),
            ("#{variables.#{variables.Env}}", malformed("#{variables.#{variables.Env}")),
            ("#{codepipeline.PipelineName}", malformed("#{codepipeline.PipelineName}")),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_result_is_limited() {
        let variables = map(&[("long", &"x".repeat(1_000))]);
        let scope = Scope { execution_id: "", variables: &variables, outputs: &BTreeMap::new() };
        let configuration = |count: usize, tail: usize| {
            // The key's three bytes count too.
            map(&[("Key", &("#{variables.long}".repeat(count) + &"y".repeat(tail)))])
        };
        assert!(resolve_configuration(&configuration(102, 397), &scope).is_ok());
        let too_large = ResolveError::TooLarge { key: "Key".into() };
        assert_eq!(resolve_configuration(&configuration(102, 398), &scope), Err(too_large.clone()));
        assert_eq!(resolve_configuration(&configuration(50_000, 0), &scope), Err(too_large));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            texts in proptest::collection::btree_map(".{0,8}", "([#{}.a-c]|variables|codepipeline|.){0,30}", 0..4),
            names in proptest::collection::btree_map("[a-c]", ".{0,9}", 0..3),
        ) {
            let outputs = BTreeMap::from([("a".to_owned(), names.clone())]);
            let scope = Scope { execution_id: "id", variables: &names, outputs: &outputs };
            if let Ok(resolved) = resolve_configuration(&texts, &scope) {
                prop_assert!(resolved.keys().eq(texts.keys()));
            }
        }

        #[test]
        fn text_without_references_is_kept(text in "[^#]{0,60}|[^}]{0,60}") {
            prop_assert!(references(&text).is_empty());
            prop_assert_eq!(resolve(&text), Ok(text));
        }

        #[test]
        fn cutting_loses_nothing(text in "([#{}.a-c]|.){0,60}") {
            let joined: String = pieces(&text).map(|piece| match piece {
                Piece::Literal(literal) => literal,
                Piece::Reference(reference) => reference.text,
            }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
