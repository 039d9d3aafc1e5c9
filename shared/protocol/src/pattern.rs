//! The model's patterns are Java's; this makes them ours.

use regex_lite::Regex;

/// A pattern this crate cannot take over faithfully.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatternError {
    /// A construct whose meaning differs between Java and us, or that we lack.
    #[error("{construct:?} is not translated from Java's pattern syntax")]
    Untranslated { construct: String },
    /// The translation does not compile.
    #[error("the pattern does not compile: {0}")]
    Malformed(#[from] regex_lite::Error),
}

/// What `.` is in Java: anything but a line end. Ours would stop at a line feed only.
const ANY_BUT_LINE_END: &str = "[^\n\r\u{85}\u{2028}\u{2029}]";

/// Compiles Java's `pattern` so that it matches whole values, as AWS does (spec 9.3).
///
/// `\w` and `\d` are ASCII in both dialects. What would silently mean something else is refused: it would show in the
/// test that loads the tables, never at run time.
pub(crate) fn whole_value(pattern: &str) -> Result<Regex, PatternError> {
    let mut ours = String::from("^(?:");
    let mut in_class = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let following = characters.peek().copied();
        match (character, following) {
            ('\\', Some(escaped)) if escaped.is_ascii_punctuation() || "wds".contains(escaped) => {
                ours.push(character);
                ours.push(escaped);
                characters.next();
            }
            ('\\', _) => return Err(untranslated(character, following)),
            ('.', _) if !in_class => ours.push_str(ANY_BUT_LINE_END),
            ('[', _) if in_class => return Err(untranslated(character, following)),
            ('&', Some('&')) if in_class => return Err(untranslated(character, following)),
            ('(', Some('?')) if !in_class => return Err(untranslated(character, following)),
            ('*' | '+' | '?' | '}', Some('+')) if !in_class => {
                return Err(untranslated(character, following));
            }
            _ => {
                in_class = (in_class || character == '[') && character != ']';
                ours.push(character);
            }
        }
    }
    ours.push_str(")$");
    Ok(Regex::new(&ours)?)
}

fn untranslated(character: char, following: Option<char>) -> PatternError {
    PatternError::Untranslated { construct: [Some(character), following].into_iter().flatten().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_values_as_java_does() {
        let cases = [
            ("[a-z]+", "abc", true),
            ("[a-z]+", "abc1", false),
            ("[a-z]+", "abc\n", false),
            ("AWS|ThirdParty", "AWSThirdParty", false),
            ("^[a-zA-Z0-9-]+$", "a-1", true),
            ("^[a-zA-Z0-9-]+$", "a-1\n", false),
            (".*", "", true),
            (".*", "one line, ünïcode 🦀", true),
            (".*", "two\u{2028}lines", false),
            (".*", "two\rlines", false),
            (r"[A-Za-z0-9.@\-_]+", "a.b@c-d_e", true),
            (r"[A-Za-z0-9.@\-_]+", "a b", false),
            (r"arn:aws(-[\w]+)*:iam::[0-9]{12}:role/.*", "arn:aws-us-gov:iam::111122223333:role/x", true),
            (r"arn:aws(-[\w]+)*:iam::[0-9]{12}:role/.*", "arn:aws-ü:iam::111122223333:role/x", false),
            (r"[0-9]{12}|\*", "*", true),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(whole_value(pattern).unwrap().is_match(value), expected, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn what_java_reads_differently_is_refused() {
        for pattern in ["[a-z&&[^b]]", "a++", "(?=a)", r"\p{L}", r"\Qa\E", "[a[b]]", "a\\"] {
            assert!(matches!(whole_value(pattern), Err(PatternError::Untranslated { .. })), "{pattern}");
        }
        assert!(matches!(whole_value("(a"), Err(PatternError::Malformed(_))));
    }
}
