//! The rules for names of machines and executions.

/// Longest name, an AWS quota.
const NAME_CHARS_MAX: usize = 80;
/// Characters AWS refuses in names, besides white space and control characters.
const FORBIDDEN: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";

/// Checks a name of a state machine or execution.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX {
        return Err(format!("Invalid Name: '{name}': a name has 1 to {NAME_CHARS_MAX} characters"));
    }
    match name.chars().find(|c| c.is_whitespace() || c.is_control() || FORBIDDEN.contains(*c)) {
        Some(c) => Err(format!("Invalid Name: '{name}': the character {c:?} is not allowed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_keep_to_aws_rules() {
        assert_eq!(check("release-1_a.b@c"), Ok(()));
        assert_eq!(check(&"x".repeat(80)), Ok(()));
        for bad in ["", &"x".repeat(81), "a b", "a/b", "a:b", "a\u{7f}"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
