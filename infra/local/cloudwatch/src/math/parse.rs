//! Metric math from text to a tree. Pure.
//!
//! AWS publishes the operators and functions, and no grammar: what its documents leave open, such as `-m1^2`, is refused
//! rather than guessed.

use super::tree::{Expr, Filler, Function, Operator};

/// How deep parentheses, brackets, functions and signs may nest; an expression a person wrote stays far below.
const DEPTH_MAX: usize = 50;

/// What CloudWatch has and this service has not.
const NOT_OFFERED: [&str; 13] = [
    "ANOMALY_DETECTION_BAND",
    "DB_PERF_INSIGHTS",
    "FIRST",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "LAST",
    "REMOVE_EMPTY",
    "SCHEMA",
    "SEARCH",
    "SELECT",
    "SERVICE_QUOTA",
    "SLICE",
    "SORT",
];

/// Operators from those that bind loosest; `^` and unary minus bind tighter than all of them.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("OR", Operator::Or), ("||", Operator::Or)],
    &[("AND", Operator::And), ("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

impl Expr {
    /// Parses an expression.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong, or that CloudWatch offers and this service does not.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        let expr = parser.chain(0, 0)?;
        match parser.peek() {
            None => Ok(expr),
            Some(extra) => Err(format!("Unexpected {extra} after the end of the expression.")),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    /// Begins with a small letter.
    Id(String),
    /// Begins with a capital.
    Word(String),
    /// In quotes.
    Text(String),
    Symbol(&'static str),
    /// Has no place in an expression.
    Other(char),
}

impl Token {
    fn is(&self, spelling: &str) -> bool {
        match self {
            Token::Symbol(symbol) => *symbol == spelling,
            Token::Word(word) => word == spelling,
            _ => false,
        }
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Number(number) => write!(f, "{number}"),
            Token::Id(text) | Token::Word(text) => f.write_str(text),
            Token::Text(text) => write!(f, "the text \"{text}\""),
            Token::Symbol(symbol) => write!(f, "\"{symbol}\""),
            Token::Other(letter) => write!(f, "\"{letter}\""),
        }
    }
}

/// Longer ones first where one begins with another.
const SYMBOLS: [&str; 18] =
    ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ","];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first);
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The token at the start, and how many bytes it takes.
fn token(text: &str, first: char) -> (Token, usize) {
    let other = (Token::Other(first), first.len_utf8());
    if first.is_ascii_alphabetic() {
        let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let word = text[..length].to_owned();
        return (if first.is_ascii_lowercase() { Token::Id(word) } else { Token::Word(word) }, length);
    }
    if matches!(first, '"' | '\'') {
        return match text[1..].find(first) {
            Some(end) => (Token::Text(text[1..=end].to_owned()), end + 2),
            None => other,
        };
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        return (Token::Symbol(symbol), symbol.len());
    }
    let length = number_length(text);
    match text[..length].parse::<f64>() {
        // 1e999 is no number.
        Ok(number) if number.is_finite() => (Token::Number(number), length),
        _ => other,
    }
}

/// How many bytes at the start are a number: `5`, `0.25`, `.25`, `1e3`, `1.5E-3`.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(0);
    if text[length..].starts_with('.') {
        length += 1 + digits(length + 1);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn is_at(&self, spelling: &str) -> bool {
        self.peek().is_some_and(|token| token.is(spelling))
    }

    fn take(&mut self, spelling: &str) -> bool {
        let found = self.is_at(spelling);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, spelling: &str, after: &str) -> Result<(), String> {
        if self.take(spelling) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("Expected \"{spelling}\" after {after}, not {token}."),
            None => format!("Expected \"{spelling}\" after {after}; the expression ends too early."),
        })
    }

    fn chain(&mut self, level: usize, depth: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.factor(depth);
        };
        let first = self.chain(level + 1, depth)?;
        let mut rest: Vec<(Operator, Expr)> = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(spelling, _)| self.is_at(spelling)) {
            if !rest.is_empty() && is_comparison(*operator) {
                return Err("Comparisons of comparisons need parentheses.".to_owned());
            }
            self.next += 1;
            rest.push((*operator, self.chain(level + 1, depth)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Chain(Box::new(first), rest) })
    }

    /// An operand with its sign or its power.
    fn factor(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > DEPTH_MAX {
            return Err(format!("An expression nests at most {DEPTH_MAX} deep."));
        }
        if self.take("-") {
            let operand = if self.is_at("-") { self.factor(depth + 1)? } else { self.operand(depth)? };
            self.refuse_power("A sign before a power")?;
            return Ok(Expr::Negated(Box::new(operand)));
        }
        let base = self.operand(depth)?;
        if !self.take("^") {
            return Ok(base);
        }
        let negative = self.take("-");
        let exponent = self.operand(depth)?;
        self.refuse_power("A power of a power")?;
        let exponent = if negative { Expr::Negated(Box::new(exponent)) } else { exponent };
        Ok(Expr::Chain(Box::new(base), vec![(Operator::Power, exponent)]))
    }

    fn refuse_power(&self, what: &str) -> Result<(), String> {
        if self.is_at("^") { Err(format!("{what} needs parentheses.")) } else { Ok(()) }
    }

    fn operand(&mut self, depth: usize) -> Result<Expr, String> {
        let token = self.peek().cloned().ok_or("The expression ends too early.")?;
        self.next += 1;
        match token {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Id(id) if self.is_at("(") => {
                Err(format!("{id} is not a function; functions are written in capitals."))
            }
            Token::Id(id) => Ok(Expr::Id(id)),
            Token::Word(name) => self.call(&name, depth + 1),
            Token::Symbol("(") => {
                let inside = self.chain(0, depth + 1)?;
                self.expect(")", "what a parenthesis opens")?;
                Ok(inside)
            }
            Token::Symbol("[") => {
                let items = self.list(depth + 1)?;
                self.expect("]", "an array")?;
                Ok(Expr::Array(items))
            }
            _ => Err(format!("Unexpected {token}.")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Expr>, String> {
        let mut items = vec![self.chain(0, depth)?];
        while self.take(",") {
            items.push(self.chain(0, depth)?);
        }
        Ok(items)
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Expr, String> {
        if NOT_OFFERED.contains(&name) {
            return Err(format!("{name} is not offered here; the local CloudWatch has no such function."));
        }
        let special = matches!(name, "METRICS" | "FILL");
        let function = if special { None } else { Some(Function::named(name)?) };
        self.expect("(", name)?;
        let expr = match function {
            None if name == "METRICS" => self.metrics(),
            None => self.fill(depth)?,
            Some(function) => {
                let arguments = self.list(depth)?;
                if !function.takes(arguments.len()) {
                    let takes = if function == Function::If { "two or three arguments" } else { "one argument" };
                    return Err(format!("{name} takes {takes}, not {}.", arguments.len()));
                }
                Expr::Call(function, arguments)
            }
        };
        self.expect(")", &format!("the arguments of {name}"))?;
        Ok(expr)
    }

    fn metrics(&mut self) -> Expr {
        let part = match self.peek() {
            Some(Token::Text(text)) => Some(text.clone()),
            _ => None,
        };
        self.next += usize::from(part.is_some());
        Expr::Metrics(part)
    }

    fn fill(&mut self, depth: usize) -> Result<Expr, String> {
        let filled = self.chain(0, depth)?;
        self.expect(",", "the first argument of FILL")?;
        let filler = if self.take("REPEAT") {
            Filler::Repeat
        } else if self.take("LINEAR") {
            Filler::Linear
        } else {
            Filler::Value(Box::new(self.chain(0, depth)?))
        };
        Ok(Expr::Fill(Box::new(filled), filler))
    }
}

/// Whether it compares two values.
fn is_comparison(operator: Operator) -> bool {
    LEVELS[2].iter().any(|(_, known)| *known == operator)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn operators_bind_as_in_school() {
        let rows = [
            ("1+2*3", "1+(2*3)"),
            ("1-2-3", "(1-2)-3"),
            ("8/4/2", "(8/4)/2"),
            ("2*m1^2", "2*(m1^2)"),
            ("m1^-2", "m1^(-2)"),
            ("-m1*2", "(-m1)*2"),
            ("a>1 AND b<2 OR c==3", "((a>1) AND (b<2)) OR (c==3)"),
            ("a && b || c", "a AND b OR c"),
            ("a+1 >= b", "(a+1) >= b"),
            ("METRICS('x')", "METRICS( \"x\" )"),
        ];
        // Two chains are alike if they come to the same; so compare what an evaluation would see.
        fn flat(expr: &Expr) -> String {
            match expr {
                Expr::Chain(first, rest) => rest
                    .iter()
                    .fold(flat(first), |left, (operator, right)| format!("({left} {operator:?} {})", flat(right))),
                Expr::Negated(operand) => format!("-{}", flat(operand)),
                other => format!("{other:?}"),
            }
        }
        for (text, same) in rows {
            let parsed = |text| flat(&Expr::parse(text).expect(text));
            assert_eq!(parsed(text), parsed(same), "{text}");
        }
    }

    #[test]
    fn numbers_have_fractions_and_exponents() {
        let rows = [("5", 5.0), ("0.25", 0.25), (".5", 0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015), ("2e+2", 200.0)];
        for (text, number) in rows {
            assert_eq!(Expr::parse(text), Ok(Expr::Number(number)), "{text}");
        }
    }

    #[test]
    fn broken_expressions_say_what_is_wrong() {
        let rows = [
            ("", "ends too early"),
            ("m1 +", "ends too early"),
            ("2m1", "Unexpected m1"),
            ("1e", "Unexpected e"),
            (".", "Unexpected \".\""),
            ("1e999", "Unexpected \"1\""),
            ("m1 m2", "Unexpected m2 after the end"),
            ("(m1", "Expected \")\""),
            ("[m1, m2", "Expected \"]\""),
            ("[]", "Unexpected \"]\""),
            ("AVG()", "Unexpected \")\""),
            ("AVG(m1, m2)", "AVG takes one argument, not 2"),
            ("IF(m1)", "IF takes two or three arguments, not 1"),
            ("AVG m1", "Expected \"(\" after AVG"),
            ("sum(m1)", "written in capitals"),
            ("MEDIAN(m1)", "MEDIAN is not a function"),
            ("FILL(m1)", "Expected \",\""),
            ("FILL(m1, LINEAR", "Expected \")\" after the arguments of FILL"),
            ("METRICS(m1)", "Expected \")\" after the arguments of METRICS"),
            ("METRICS(\"m1)", "not \"\"\""),
            ("a < b < c", "parentheses"),
            ("-m1^2", "parentheses"),
            ("2^m1^2", "parentheses"),
            ("!m1", "Unexpected \"!\""),
            ("m1 = m2", "Unexpected \"=\""),
            ("m1 + é", "Unexpected \"é\""),
            ("REPEAT", "REPEAT is not a function"),
            ("SELECT AVG(CPUUtilization) FROM SCHEMA(\"AWS/EC2\", InstanceId)", "SELECT is not offered here"),
            ("SEARCH('{AWS/EC2} x', 'Average', 300)", "SEARCH is not offered here"),
            ("LAST(ANOMALY_DETECTION_BAND(m1))", "LAST is not offered here"),
            ("m1 > ANOMALY_DETECTION_BAND(m1, 2)", "ANOMALY_DETECTION_BAND is not offered here"),
        ];
        for (text, expected) in rows {
            let error = Expr::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        for deep in ["(", "-", "AVG(", "["] {
            assert!(Expr::parse(&deep.repeat(400)).expect_err(deep).contains("nests"), "{deep}");
        }
    }

    #[test]
    fn a_long_sum_is_not_a_deep_one() {
        let sum = Expr::parse(&["m"; 1000].join("+")).expect("long");
        assert_eq!(sum.ids(), BTreeSet::from(["m"]));
    }
}
