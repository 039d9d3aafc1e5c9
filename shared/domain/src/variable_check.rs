//! What a VariableCheck rule says (spec 4.3).

use regex_lite::Regex;

use crate::{Finding, java_pattern::translate};

/// How a rule compares.
pub(crate) const OPERATORS: &[&str] = &["EQ", "NE", "CONTAINS", "MATCHES"];

/// Whether `variable`, with references resolved, is to `value` as `operator` says.
pub fn check_variable(operator: &str, variable: &str, value: &str) -> Finding {
    let holds = match operator {
        "EQ" => variable == value,
        "NE" => variable != value,
        "CONTAINS" => variable.contains(value),
        "MATCHES" => match pattern(value) {
            Ok(pattern) => pattern.is_match(variable),
            Err(why) => return Finding::errored("ConfigurationError", why),
        },
        _ => return Finding::errored("ConfigurationError", format!("'{operator}' is not an operator.")),
    };
    let says = format!("'{variable}' {operator} '{value}'");
    if holds { Finding::succeeded(format!("{says} holds.")) } else { Finding::failed(format!("{says} does not hold.")) }
}

/// Whether `value` is a pattern that MATCHES can use.
///
/// # Errors
/// It is not, in words for people.
pub(crate) fn check_pattern(value: &str) -> Result<(), String> {
    pattern(value).map(drop)
}

/// A pattern must match the whole value, as Java's matches() does.
fn pattern(value: &str) -> Result<Regex, String> {
    let written = translate(value).map_err(|what| {
        format!("'{value}' uses {what}, which Java's patterns have and Lastgood's do not. Write it without")
    })?;
    // By itself first: what closes a group that it did not open would be none in the brackets.
    let parsed = Regex::new(&written).and_then(|_| Regex::new(&format!("^(?:{written})$")));
    parsed.map_err(|error| format!("'{value}' is not a pattern: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuleVerdict::{Errored, Failed, Succeeded};

    #[test]
    fn variables_compare_as_their_operator_says() {
        for (operator, variable, value, expected) in [
            ("EQ", "a", "a", Succeeded),
            ("NE", "a", "a", Failed),
            ("CONTAINS", "abc", "b", Succeeded),
            ("MATCHES", "v12", r"v\d+", Succeeded),
            ("MATCHES", "v12x", r"v\d+", Failed),
            ("MATCHES", "Prod", r"\p{Alpha}+", Succeeded),
            ("MATCHES", "test", "(?!prod).*", Errored("ConfigurationError")),
            ("MATCHES", "x", "(", Errored("ConfigurationError")),
            ("MATCHES", "x", "a)|(?:x", Errored("ConfigurationError")),
            ("??", "a", "a", Errored("ConfigurationError")),
        ] {
            assert_eq!(check_variable(operator, variable, value).verdict, expected, "{variable} {operator} {value}");
        }
    }

    #[test]
    fn java_syntax_that_is_not_supported_is_told_from_what_is_no_pattern() {
        let refused = check_pattern("(?!prod).*").unwrap_err();
        assert!(refused.contains("uses look-ahead ((?!), which Java's patterns have"), "{refused}");
        let broken = check_pattern("(").unwrap_err();
        assert!(broken.contains("is not a pattern"), "{broken}");
    }
}
