//! Patterns as Java writes them (spec 4.3), for the library that matches them in linear time. What both mean alike stays as
//! it is, what only Java spells is spelled out, and what the library cannot do, or would take for something else, is
//! refused by its name.

use std::str::Chars;

/// Classes of ASCII characters, as Java's `\p{...}` names them; in brackets they have the same names in small letters.
const CLASSES: [&str; 13] = [
    "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl", "XDigit",
    "Space",
];
/// What `\h` means.
const HORIZONTAL: &str = r"\x20\t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
/// What `\v` means.
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";

/// `pattern`, which is Java's, as the library writes it.
///
/// # Errors
/// What it uses that is not supported, for people, as it follows "uses ".
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut of = Translation { rest: pattern.chars(), out: String::with_capacity(pattern.len()), in_class: false };
    while let Some(c) = of.rest.next() {
        of.take(c)?;
    }
    Ok(of.out)
}

struct Translation<'a> {
    rest: Chars<'a>,
    out: String,
    /// Whether it is between brackets.
    in_class: bool,
}

impl Translation<'_> {
    fn starts(&self, with: &str) -> bool {
        self.rest.as_str().starts_with(with)
    }

    /// Skips `text` if it comes next.
    fn skip(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.as_str().strip_prefix(text) else { return false };
        self.rest = rest.chars();
        true
    }

    fn take(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => return self.escape(),
            '[' if self.in_class => return self.open_inner_class(),
            '[' => self.open_class(),
            ']' => {
                self.in_class = false;
                self.out.push(']');
            }
            '&' if self.in_class && self.starts("&") => return Err("an intersection of classes (&&)".to_owned()),
            '(' if !self.in_class => return self.open_group(),
            '{' if !self.in_class => return self.repeat(),
            '*' | '+' | '?' if !self.in_class => {
                self.out.push(c);
                return self.refuse_possessive();
            }
            _ => self.out.push(c),
        }
        Ok(())
    }

    /// What comes first in a class is one of its characters, be it the bracket that would close it.
    fn open_class(&mut self) {
        self.in_class = true;
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        if self.skip("]") {
            self.out.push_str(r"\]");
        }
    }

    /// `[:alpha:]` is the library's own, which patterns may have used; another class inside a class it does not have.
    fn open_inner_class(&mut self) -> Result<(), String> {
        let named = self.rest.as_str().split_once(":]").filter(|(name, _)| name.starts_with(':'));
        let Some((name, rest)) = named else { return Err("a class inside a class".to_owned()) };
        self.out.push_str(&format!("[{name}:]"));
        self.rest = rest.chars();
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), String> {
        for (start, what) in [
            ("?=", "look-ahead"),
            ("?!", "look-ahead"),
            ("?<=", "look-behind"),
            ("?<!", "look-behind"),
            ("?>", "an atomic group"),
        ] {
            if self.starts(start) {
                return Err(format!("{what} (({start})"));
            }
        }
        self.out.push('(');
        if self.skip("?") {
            self.out.push('?');
            let is_flag = |c: &char| c.is_ascii_alphabetic() || *c == '-';
            // To the library U means something else, and the others are not known to it.
            let unknown = self.rest.clone().take_while(is_flag).find(|flag| "dUu".contains(*flag));
            return unknown.map_or(Ok(()), |flag| Err(format!("the flag {flag}")));
        }
        Ok(())
    }

    /// `{2,3}`, as far as it is closed.
    fn repeat(&mut self) -> Result<(), String> {
        self.out.push('{');
        let Some((times, rest)) = self.rest.as_str().split_once('}') else { return Ok(()) };
        if !times.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') {
            return Ok(());
        }
        self.out.push_str(times);
        self.out.push('}');
        self.rest = rest.chars();
        self.refuse_possessive()
    }

    /// The library would repeat what is repeated, which means something else.
    fn refuse_possessive(&self) -> Result<(), String> {
        if self.starts("+") { Err("a possessive quantifier".to_owned()) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else {
            self.out.push('\\');
            return Ok(());
        };
        match c {
            'Q' => self.quote(),
            'p' | 'P' => return self.property(c == 'P'),
            'h' => self.class(HORIZONTAL, false)?,
            'H' => self.class(HORIZONTAL, true)?,
            'v' => self.class(VERTICAL, false)?,
            'V' => self.class(VERTICAL, true)?,
            'R' if !self.in_class => self.out.push_str(&format!(r"(?:\r\n|[{VERTICAL}])")),
            'e' => self.out.push_str(r"\x1B"),
            '0' => self.octal(),
            'k' | '1'..='9' => return Err(format!(r"a back reference (\{c})")),
            'G' | 'X' | 'Z' | 'N' | 'c' => return Err(format!(r"\{c}")),
            _ if c.is_ascii_alphanumeric() => self.out.extend(['\\', c]),
            // To the library some of them mean something when they are escaped; in Java none does.
            _ => self.literal(c),
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// Everything up to `\E` stands for itself.
    fn quote(&mut self) {
        let rest = self.rest.as_str();
        let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
        self.out.push_str(&regex_lite::escape(quoted));
        self.rest = rest.chars();
    }

    /// One of `ranges`, or none of them.
    fn class(&mut self, ranges: &str, negated: bool) -> Result<(), String> {
        match (self.in_class, negated) {
            (true, true) => return Err(r"\H or \V inside a class".to_owned()),
            (true, false) => self.out.push_str(ranges),
            (false, true) => self.out.push_str(&format!("[^{ranges}]")),
            (false, false) => self.out.push_str(&format!("[{ranges}]")),
        }
        Ok(())
    }

    /// `\p{Alpha}`.
    fn property(&mut self, negated: bool) -> Result<(), String> {
        let rest = self.rest.as_str();
        let name = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, after)) => {
                self.rest = after.chars();
                name.to_owned()
            }
            None => self.rest.next().map(String::from).unwrap_or_default(),
        };
        if !CLASSES.contains(&name.as_str()) {
            return Err(format!("the property {name} of characters"));
        }
        let class = format!("[:{}{}:]", if negated { "^" } else { "" }, name.to_lowercase());
        self.out.push_str(&if self.in_class { class } else { format!("[{class}]") });
        Ok(())
    }

    /// `\0101`: up to three digits, at most 377.
    fn octal(&mut self) {
        let mut value = 0;
        for _ in 0..3 {
            let digit = self.rest.clone().next().and_then(|c| c.to_digit(8));
            let Some(longer) = digit.map(|digit| value * 8 + digit).filter(|longer| *longer <= 0o377) else { break };
            value = longer;
            self.rest.next();
        }
        self.out.push_str(&format!(r"\x{{{value:X}}}"));
    }
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::translate;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = translate(pattern).unwrap();
        Regex::new(&format!("^(?:{pattern})$")).unwrap_or_else(|why| panic!("{pattern}: {why}")).is_match(text)
    }

    #[test]
    fn what_only_java_spells_means_what_it_means_there() {
        for (pattern, good, bad) in [
            (r"v\d+", "v12", "v1x"),
            (r"\p{Alpha}+", "Prod", "Prod1"),
            (r"\P{Digit}+", "Prod", "Prod1"),
            (r"[\p{Lower}\p{Digit}_-]+", "blue_2-a", "Blue"),
            (r"[^\P{Upper}]+", "ABC", "AbC"),
            (r"[[:alpha:]_]+", "Prod_a", "Prod1"),
            (r"\Q1.2+(x)\E-\d", "1.2+(x)-3", "1x2+(x)-3"),
            (r"[\Q]^\E]+", "]^", "a"),
            (r"a\Qb", "ab", "aQb"),
            (r"\<\w+\>", "<b>", "b"),
            (r"a\hb", "a\tb", "a\nb"),
            (r"a[\h,]b", "a,b", "a.b"),
            (r"a\Hb", "axb", "a b"),
            (r"a\vb", "a\nb", "a b"),
            (r"a\Rb", "a\r\nb", "a b"),
            (r"\0101\e", "A\u{1b}", "A"),
            (r"\08", "\u{0}8", "8"),
            (r"[]a]+", "]a", "b"),
            (r"[^]a]+", "b", "]"),
            (r"[(?+*{]+", "(?+*{", "a"),
            (r"\++", "+++", "++a"),
            (r"(?i)PROD(?:-[ab]{1,2}?)?", "prod-aB", "prod-c"),
            (r"(?<env>prod|test)-\x41\u0042", "test-AB", "dev-AB"),
        ] {
            assert!(matches(pattern, good), "{pattern} {good:?}");
            assert!(!matches(pattern, bad), "{pattern} {bad:?}");
        }
    }

    #[test]
    fn what_the_library_cannot_do_is_refused_by_its_name() {
        for (pattern, what) in [
            (r"(?=x).*", "look-ahead ((?=)"),
            (r"(?!prod).*", "look-ahead"),
            (r".*(?<=x)", "look-behind"),
            (r".*(?<!x)", "look-behind"),
            (r"(?>a|b)", "an atomic group"),
            (r"(a)\1", r"a back reference (\1)"),
            (r"(?<x>a)\k<x>", "a back reference"),
            (r"a++", "possessive"),
            (r"a*+b", "possessive"),
            (r"a?+b", "possessive"),
            (r"a{2,3}+b", "possessive"),
            (r"[a-z&&[^aeiou]]", "intersection"),
            (r"[a[bc]]", "a class inside a class"),
            (r"\p{IsGreek}+", "the property IsGreek"),
            (r"\pL+", "the property L"),
            (r"(?U)\w+", "the flag U"),
            (r"(?iu:x)", "the flag u"),
            (r"x\Z", r"\Z"),
            (r"[\V]", "inside a class"),
        ] {
            let refused = translate(pattern).unwrap_err();
            assert!(refused.contains(what), "{pattern}: {refused}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_left_to_the_library() {
        for pattern in ["(", "a{", r"\", "[a", r"\y", r"\p", "a{x}"] {
            let translated = translate(pattern);
            assert!(translated.is_err() || Regex::new(&translated.unwrap()).is_err(), "{pattern}");
        }
    }
}
