//! Patterns for names of branches and tags and for paths.
//!
//! `*` is any text within a part of a path, `**` any text at all, `?` one character within a part, `[a-c]` one of these,
//! `[!a-c]` one that is none of them, `{a,b}` one of these patterns, which hold no braces; `\` takes what follows as it
//! is. `**/` begins at a slash, so `**/*.md` does not match a file at the top, and `**.md` does.
//!
//! A pattern becomes a small machine that is in several places at once, so the time to match is the product of both
//! lengths, whatever strangers put into a path.

/// A pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Takes one character.
    Take(Chars),
    /// Goes on at all of these steps at once.
    Fork(Vec<usize>),
}

#[derive(Debug, Clone)]
enum Chars {
    Is(char),
    Any,
    /// All but the slash.
    InPart,
    /// Within these ranges, or not; never the slash.
    Class {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
}

impl Glob {
    /// # Errors
    /// What is wrong and what to do, as it follows "which ".
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: pattern.chars().collect::<Vec<_>>().into_iter().peekable(), steps: Vec::new() };
        while let Some(next) = parser.rest.next() {
            match next {
                '{' => parser.group()?,
                other => parser.one(other)?,
            }
        }
        Ok(Self { steps: parser.steps })
    }

    /// Whether all of `text` is as the pattern says.
    pub(super) fn matches(&self, text: &str) -> bool {
        let end = self.steps.len();
        let mut at = vec![false; end + 1];
        self.enter(0, &mut at);
        for c in text.chars() {
            let mut next = vec![false; end + 1];
            for (index, step) in self.steps.iter().enumerate().filter(|(index, _)| at[*index]) {
                if let Step::Take(chars) = step
                    && chars.has(c)
                {
                    self.enter(index + 1, &mut next);
                }
            }
            at = next;
        }
        at[end]
    }

    /// Marks `step` and all that are reached from it without taking a character.
    fn enter(&self, step: usize, at: &mut [bool]) {
        let mut reached = vec![step];
        while let Some(step) = reached.pop() {
            if std::mem::replace(&mut at[step], true) {
                continue;
            }
            if let Some(Step::Fork(to)) = self.steps.get(step) {
                reached.extend(to);
            }
        }
    }
}

impl Chars {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Is(one) => *one == c,
            Self::Any => true,
            Self::InPart => c != '/',
            Self::Class { ranges, is_negated } => {
                c != '/' && ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_negated
            }
        }
    }
}

struct Parser {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    steps: Vec<Step>,
}

impl Parser {
    /// What begins with `first` and is no group.
    fn one(&mut self, first: char) -> Result<(), String> {
        let chars = match first {
            '*' => {
                let chars = if self.rest.next_if_eq(&'*').is_some() { Chars::Any } else { Chars::InPart };
                let here = self.steps.len();
                self.steps.push(Step::Fork(vec![here + 1, here + 3]));
                self.steps.push(Step::Take(chars));
                self.steps.push(Step::Fork(vec![here]));
                return Ok(());
            }
            '?' => Chars::InPart,
            '[' => self.class()?,
            '\\' => Chars::Is(self.rest.next().ok_or("ends with \\. Write what it stands before")?),
            other => Chars::Is(other),
        };
        self.steps.push(Step::Take(chars));
        Ok(())
    }

    fn class(&mut self) -> Result<Chars, String> {
        const UNCLOSED: &str = "has a [ without its ]. Write \\[ for the character itself";
        let is_negated = self.rest.next_if_eq(&'!').is_some();
        let mut ranges = Vec::new();
        loop {
            let from = match self.rest.next().ok_or(UNCLOSED)? {
                ']' if ranges.is_empty() => return Err("has an empty [...]. Write what may stand there".to_owned()),
                ']' => return Ok(Chars::Class { ranges, is_negated }),
                '/' => return Err("has a / in [...], where one character of a part stands. Take it out".to_owned()),
                '\\' => self.rest.next().ok_or(UNCLOSED)?,
                other => other,
            };
            let is_range = self.rest.peek() == Some(&'-') && {
                let mut ahead = self.rest.clone();
                ahead.next();
                ahead.peek().is_some_and(|after| *after != ']')
            };
            let to = if is_range {
                self.rest.next();
                match self.rest.next().ok_or(UNCLOSED)? {
                    '\\' => self.rest.next().ok_or(UNCLOSED)?,
                    other => other,
                }
            } else {
                from
            };
            if to < from {
                return Err(format!("has the range {from}-{to}. Write the smaller one first"));
            }
            ranges.push((from, to));
        }
    }

    /// What stands after `{`, up to its end: a fork to each alternative, which go on behind the last.
    fn group(&mut self) -> Result<(), String> {
        let fork = self.steps.len();
        self.steps.push(Step::Fork(vec![fork + 1]));
        let (mut starts, mut ends) = (vec![fork + 1], Vec::new());
        loop {
            match self.rest.next().ok_or("has a { without its }. Write \\{ for the character itself")? {
                '{' => return Err("has braces in braces. Write every alternative in one pair".to_owned()),
                '}' => break,
                ',' => {
                    ends.push(self.steps.len());
                    self.steps.push(Step::Fork(Vec::new()));
                    starts.push(self.steps.len());
                }
                other => self.one(other)?,
            }
        }
        let behind = self.steps.len();
        self.steps[fork] = Step::Fork(starts);
        for end in ends {
            self.steps[end] = Step::Fork(vec![behind]);
        }
        Ok(())
    }
}
