//! Links to where an action's work can be looked at, from its type's templates (spec 6.3).

use crate::ActionRun;

const CONFIGURATION: &str = "Config:";

impl ActionRun {
    /// What the action works on.
    pub fn entity_url(&self) -> Option<String> {
        self.filled(self.urls.entity_url_template.as_ref())
    }

    /// This run, at its provider.
    pub fn execution_url(&self) -> Option<String> {
        self.filled(self.urls.execution_url_template.as_ref())
    }

    /// The revision it worked on.
    pub fn revision_url(&self) -> Option<String> {
        self.filled(self.urls.revision_url_template.as_ref())
    }

    /// None where the template names something that has no value: half a link leads astray.
    fn filled(&self, template: Option<&String>) -> Option<String> {
        fill(template?, |name| match name.strip_prefix(CONFIGURATION) {
            Some(key) => Some(self.resolved_configuration.get(key).map(String::as_str)),
            None if name == "ExternalExecutionId" => Some(self.external_id.as_deref()),
            None if name == "RevisionId" => Some(self.revision.as_ref().map(|revision| revision.revision_id.as_str())),
            None => None,
        })
    }
}

/// The configuration keys that a template refers to.
pub(crate) fn configuration_keys(template: &str) -> impl Iterator<Item = &str> {
    let names = template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names.filter_map(|name| name.strip_prefix(CONFIGURATION))
}

/// Replaces what `value` knows. It says `None` for what is no placeholder, which stays as it is.
fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<Option<&'a str>>) -> Option<String> {
    let mut pieces = template.split('{');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}').and_then(|(name, rest)| Some((value(name)?, rest))) {
            Some((value, rest)) => {
                filled += value?;
                filled += rest;
            }
            None => {
                filled.push('{');
                filled += piece;
            }
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_braces_of_others_stay() {
        let value = |name: &str| match name {
            "Config:Project" => Some(Some("shop")),
            "ExternalExecutionId" => Some(None),
            _ => None,
        };
        let cases = [
            ("https://x/{Config:Project}/a/{Config:Project}", Some("https://x/shop/a/shop")),
            ("https://x/{Config:Project}{", Some("https://x/shop{")),
            ("https://x/{other}/{Config:Project", Some("https://x/{other}/{Config:Project")),
            ("https://x/{ExternalExecutionId}", None),
            ("", Some("")),
        ];
        for (template, expected) in cases {
            assert_eq!(fill(template, value).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn keys_of_the_configuration_are_found() {
        let keys: Vec<_> = configuration_keys("{Config:A}/{ExternalExecutionId}/{Config:B c}/{Config:open").collect();
        assert_eq!(keys, ["A", "B c"]);
    }
}
