//! Rules of composite alarms: `ALARM(a) AND (NOT OK("b c") OR FALSE)`. Pure.

use std::collections::BTreeSet;

use crate::{alarm::ARN_PREFIX, evaluate::State};

/// How deep parentheses and NOTs may nest; a rule a person wrote stays far below.
const DEPTH_MAX: usize = 50;

/// How many alarms one rule may name (CloudWatch's quota of children of a composite alarm).
const CHILDREN_MAX: usize = 100;

/// How many elements (alarms, words, operators) a rule may hold: CloudWatch's quota.
const ELEMENTS_MAX: usize = 500;

/// A parsed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `TRUE` or `FALSE`.
    Constant(bool),
    /// An alarm, by name, is in this state.
    Is(State, String),
    /// `NOT` what follows.
    Not(Box<Rule>),
    /// All hold.
    And(Vec<Rule>),
    /// At least one holds.
    Or(Vec<Rule>),
}

impl Rule {
    /// Parses a rule. `NOT` binds tighter than `AND`, and `AND` tighter than `OR`.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, next: 0 };
        if parser.tokens.len() > ELEMENTS_MAX {
            return Err(format!("A rule holds at most {ELEMENTS_MAX} elements."));
        }
        let rule = parser.any_of(0)?;
        if let Some(extra) = parser.peek() {
            return Err(format!("Unexpected {extra} after the end of the rule."));
        }
        if rule.children().len() > CHILDREN_MAX {
            return Err(format!("A rule names at most {CHILDREN_MAX} alarms."));
        }
        Ok(rule)
    }

    /// Whether the rule holds, given the alarms' states; an alarm that does not exist is in no state.
    pub(crate) fn holds(&self, state_of: &dyn Fn(&str) -> Option<State>) -> bool {
        match self {
            Rule::Constant(value) => *value,
            Rule::Is(state, name) => state_of(name) == Some(*state),
            Rule::Not(rule) => !rule.holds(state_of),
            Rule::And(rules) => rules.iter().all(|rule| rule.holds(state_of)),
            Rule::Or(rules) => rules.iter().any(|rule| rule.holds(state_of)),
        }
    }

    /// Names of the alarms the rule looks at.
    pub(crate) fn children(&self) -> BTreeSet<&str> {
        match self {
            Rule::Constant(_) => BTreeSet::new(),
            Rule::Is(_, name) => BTreeSet::from([name.as_str()]),
            Rule::Not(rule) => rule.children(),
            Rule::And(rules) | Rule::Or(rules) => rules.iter().flat_map(Rule::children).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Constant(bool),
    Is(State, String),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Open => f.write_str("\"(\""),
            Token::Close => f.write_str("\")\""),
            Token::And => f.write_str("AND"),
            Token::Or => f.write_str("OR"),
            Token::Not => f.write_str("NOT"),
            Token::Constant(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Token::Is(state, name) => write!(f, "{}({name})", state.as_str()),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn word(text: &str) -> Result<(Token, &str), String> {
    let end = text.find(|c: char| !(c.is_ascii_alphabetic() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let token = match word {
        "AND" => Token::And,
        "OR" => Token::Or,
        "NOT" => Token::Not,
        "TRUE" => Token::Constant(true),
        "FALSE" => Token::Constant(false),
        _ => {
            let state = State::parse(word).ok_or_else(|| {
                let seen: String = text.chars().take(30).collect();
                format!(
                    "Expected ALARM(name), OK(name), INSUFFICIENT_DATA(name), AND, OR, NOT, TRUE, FALSE or a \
                     parenthesis at \"{seen}\"."
                )
            })?;
            let (name, rest) = alarm_name(rest.trim_start(), word)?;
            return Ok((Token::Is(state, name), rest));
        }
    };
    Ok((token, rest))
}

/// Reads `(name)`, `("name")` or `('name')`; inside quotes a backslash takes the next character as it is.
fn alarm_name<'a>(text: &'a str, state: &str) -> Result<(String, &'a str), String> {
    let inside = text
        .strip_prefix('(')
        .ok_or_else(|| format!("{state} must be followed by an alarm in parentheses, such as {state}(\"name\")."))?
        .trim_start();
    let (name, rest) = match inside.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&inside[1..], quote)?,
        _ => {
            let end = inside.find(['(', ')', '"', '\'']).unwrap_or(inside.len());
            (inside[..end].trim_end().to_owned(), &inside[end..])
        }
    };
    let rest =
        rest.trim_start().strip_prefix(')').ok_or_else(|| format!("{state}({name} lacks its closing parenthesis."))?;
    let name = match name.strip_prefix(ARN_PREFIX) {
        Some(name) => name.to_owned(),
        None if name.starts_with("arn:") => {
            return Err(format!("{name} is not an alarm of this account and region."));
        }
        None => name,
    };
    if name.is_empty() {
        return Err(format!("{state}() names no alarm."));
    }
    Ok((name, rest))
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
            _ if letter == quote => return Ok((name, &text[index + 1..])),
            _ => name.push(letter),
        }
    }
    Err("A quoted alarm name lacks its closing quote.".to_owned())
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    fn any_of(&mut self, depth: usize) -> Result<Rule, String> {
        let mut rules = vec![self.all_of(depth)?];
        while self.take(&Token::Or) {
            rules.push(self.all_of(depth)?);
        }
        Ok(single_or(rules, Rule::Or))
    }

    fn all_of(&mut self, depth: usize) -> Result<Rule, String> {
        let mut rules = vec![self.one(depth)?];
        while self.take(&Token::And) {
            rules.push(self.one(depth)?);
        }
        Ok(single_or(rules, Rule::And))
    }

    fn one(&mut self, depth: usize) -> Result<Rule, String> {
        if depth > DEPTH_MAX {
            return Err(format!("A rule nests at most {DEPTH_MAX} deep."));
        }
        let token = self.peek().cloned().ok_or("The rule ends too early.")?;
        self.next += 1;
        match token {
            Token::Constant(value) => Ok(Rule::Constant(value)),
            Token::Is(state, name) => Ok(Rule::Is(state, name)),
            Token::Not => Ok(Rule::Not(Box::new(self.one(depth + 1)?))),
            Token::Open => {
                let rule = self.any_of(depth + 1)?;
                if self.take(&Token::Close) { Ok(rule) } else { Err("A parenthesis is not closed.".to_owned()) }
            }
            Token::Close | Token::And | Token::Or => Err(format!("Unexpected {token}.")),
        }
    }
}

fn single_or(mut rules: Vec<Rule>, combine: fn(Vec<Rule>) -> Rule) -> Rule {
    match rules.len() {
        1 => rules.remove(0),
        _ => combine(rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(name: &str) -> Option<State> {
        match name {
            "red" => Some(State::Alarm),
            "green" | "b (c)" => Some(State::Ok),
            "new" => Some(State::InsufficientData),
            _ => None,
        }
    }

    #[test]
    fn rules_hold_as_their_alarms_say() {
        let rows = [
            ("ALARM(red)", true),
            ("ALARM(green)", false),
            ("OK(green) AND INSUFFICIENT_DATA(new)", true),
            ("NOT OK(green)", false),
            ("NOT NOT OK(green)", true),
            ("ALARM(\"red\") AND OK('b (c)')", true),
            ("ALARM( red )", true),
            ("ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:red)", true),
            ("FALSE AND FALSE OR TRUE", true),
            ("FALSE AND (FALSE OR TRUE)", false),
            ("NOT FALSE AND FALSE", false),
            ("ALARM(gone) OR OK(gone) OR INSUFFICIENT_DATA(gone)", false),
        ];
        for (text, expected) in rows {
            assert_eq!(Rule::parse(text).expect(text).holds(&state_of), expected, "{text}");
        }
    }

    #[test]
    fn broken_rules_say_what_is_wrong() {
        let rows = [
            ("", "ends too early"),
            ("ALARM(a", "closing parenthesis"),
            ("ALARM", "parentheses"),
            ("ALARM()", "names no alarm"),
            ("ALARM(\"a)", "closing quote"),
            ("(TRUE", "not closed"),
            ("TRUE TRUE", "after the end"),
            ("TRUE AND", "ends too early"),
            ("AND TRUE", "Unexpected AND"),
            ("alarm(a)", "Expected ALARM(name)"),
            ("ALARM(arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a)", "this account"),
        ];
        for (text, expected) in rows {
            let error = Rule::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(Rule::parse(&"(".repeat(400)).expect_err("deep").contains("nests"));
        assert!(Rule::parse(&"NOT ".repeat(400)).expect_err("deep").contains("nests"));
    }
}
