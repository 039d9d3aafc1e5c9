//! JSONata in `{% ... %}`: expressions, and JSON templates that contain them.

mod functions;
mod plain;

pub(crate) use functions::unit_interval;
pub(crate) use plain::Seen;

use std::sync::Arc;

use engine::ports::Entropy;
use jiff::Timestamp;
use jsonata_core::{
    ast::AstNode,
    evaluator::{Context, Evaluator, EvaluatorOptions},
    parser,
    value::JValue,
};
use serde_json::{Map, Value, json};

use plain::{Found, Plain};

/// Longest an expression may run before it fails, a guard against endless recursion (AWS has an unpublished one).
const EVALUATION_MS_MAX: u64 = 5_000;
/// Longest sequence an expression may build: far beyond what fits the payload limit.
const SEQUENCE_LENGTH_MAX: usize = 100_000;

/// One parsed JSONata expression.
#[derive(Debug)]
pub(crate) struct Expr {
    source: String,
    ast: AstNode,
    /// The same as a lookup, where it is nothing else.
    plain: Option<Box<Plain>>,
}

impl Expr {
    /// Whether `text` is an expression rather than a plain string.
    pub(crate) fn is_expression(text: &str) -> bool {
        text.starts_with("{%") && text.ends_with("%}") && text.len() >= 4
    }

    /// Parses `text`, which still carries its `{%` and `%}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}"));
        let source = inner.ok_or("expected a JSONata expression: {% ... %}")?.trim();
        let ast = parser::parse(source).map_err(|error| error.display_message())?;
        Ok(Self { source: source.to_owned(), ast, plain: Plain::parse(source).map(Box::new) })
    }

    /// The value this expression gives in `scope`.
    pub(crate) fn evaluate(&self, scope: &mut Scope<'_>) -> Result<Value, EvaluationError> {
        scope.evaluate(self)
    }
}

/// Any JSON value with expressions anywhere inside.
#[derive(Debug)]
pub(crate) enum Template {
    /// A value without expressions.
    Literal(Value),
    /// An expression.
    Expr(Expr),
    /// An array with an expression somewhere inside.
    Array(Vec<Template>),
    /// An object with an expression somewhere inside.
    Object(Vec<(String, Template)>),
}

/// Why an expression gave no value; becomes the cause of `States.QueryEvaluationError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EvaluationError(pub(crate) String);

/// Evaluates the expressions of one state.
pub(crate) struct Scope<'a> {
    seen: Seen<'a>,
    now: Timestamp,
    entropy: &'a Arc<dyn Entropy>,
    /// Made for the first expression that is more than a lookup.
    evaluator: Option<Evaluator>,
}

impl<'a> Scope<'a> {
    /// A scope in which expressions see `seen` and AWS's functions, at the instant `now`.
    pub(crate) fn new(seen: Seen<'a>, now: Timestamp, entropy: &'a Arc<dyn Entropy>) -> Self {
        Self { seen, now, entropy, evaluator: None }
    }

    fn evaluate(&mut self, expr: &Expr) -> Result<Value, EvaluationError> {
        let nothing = || EvaluationError(format!("{}: returned nothing (undefined)", expr.source));
        match expr.plain.as_ref().map(|plain| plain.find(&self.seen)) {
            Some(Found::Value(value)) => return Ok(value),
            Some(Found::Nothing) => return Err(nothing()),
            Some(Found::Unclear) | None => {}
        }
        let (seen, now, entropy) = (&self.seen, self.now, self.entropy);
        let evaluator = self.evaluator.get_or_insert_with(|| evaluator(seen, now, entropy));
        let found = evaluator.evaluate(&expr.ast, &JValue::Undefined);
        let value = found.map_err(|error| EvaluationError(format!("{}: {error}", expr.source)))?;
        match value {
            JValue::Undefined => Err(nothing()),
            JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => {
                Err(EvaluationError(format!("{}: returned a function", expr.source)))
            }
            // Serialising keeps whole numbers whole; the crate's own conversion makes every number a float.
            other => serde_json::to_value(&other).map_err(|error| EvaluationError(error.to_string())),
        }
    }
}

fn evaluator(seen: &Seen<'_>, now: Timestamp, entropy: &Arc<dyn Entropy>) -> Evaluator {
    let mut context = Context::new();
    // Outermost first, so that an inner variable wins.
    for (name, value) in seen.variables.iter().copied().flatten() {
        context.bind(name.clone(), JValue::from(value.clone()));
    }
    let mut states = json!({"input": seen.input, "context": (seen.context)()});
    if let Some(result) = seen.result {
        states["result"] = result.clone();
    }
    if let Some(error) = &seen.error {
        states["errorOutput"] = error.clone();
    }
    context.bind("states".to_owned(), JValue::from(states));
    let options = EvaluatorOptions {
        timeout_ms: Some(EVALUATION_MS_MAX),
        max_sequence_length: Some(SEQUENCE_LENGTH_MAX),
        ..EvaluatorOptions::default()
    };
    let mut evaluator = Evaluator::with_options(context, options);
    functions::register(&mut evaluator, now, entropy);
    evaluator
}

impl Template {
    /// Parses every expression inside `value`.
    ///
    /// # Errors
    /// The JSON path of the offence below `path`, and what is wrong.
    pub(crate) fn parse(value: &Value, path: &str) -> Result<Self, (String, String)> {
        match value {
            Value::String(text) if Expr::is_expression(text) => {
                Expr::parse(text).map(Self::Expr).map_err(|message| (path.to_owned(), message))
            }
            Value::Array(items) => {
                let parsed = items.iter().enumerate().map(|(i, item)| Self::parse(item, &format!("{path}[{i}]")));
                let parsed: Vec<_> = parsed.collect::<Result<_, _>>()?;
                let literal = parsed.iter().all(|item| matches!(item, Self::Literal(_)));
                Ok(if literal { Self::Literal(value.clone()) } else { Self::Array(parsed) })
            }
            Value::Object(members) => {
                let parsed = members
                    .iter()
                    .map(|(key, member)| Ok((key.clone(), Self::parse(member, &format!("{path}.{key}"))?)));
                let parsed: Vec<_> = parsed.collect::<Result<_, (String, String)>>()?;
                let literal = parsed.iter().all(|(_, member)| matches!(member, Self::Literal(_)));
                Ok(if literal { Self::Literal(value.clone()) } else { Self::Object(parsed) })
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Self::Literal(value.clone())),
        }
    }

    /// The value this template stands for in `scope`.
    pub(crate) fn evaluate(&self, scope: &mut Scope<'_>) -> Result<Value, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expr(expr) => scope.evaluate(expr),
            Self::Array(items) => {
                let items = items.iter().map(|item| item.evaluate(scope));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Self::Object(members) => {
                let members = members.iter().map(|(key, member)| Ok((key.clone(), member.evaluate(scope)?)));
                Ok(Value::Object(members.collect::<Result<Map<_, _>, _>>()?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::SeededEntropy;

    use super::*;

    fn seen<'a>(states: &'a Value, variables: &'a Value) -> Seen<'a> {
        Seen {
            input: &states["input"],
            result: states.get("result"),
            error: None,
            execution_input: &states["context"]["Execution"]["Input"],
            context: Box::new(|| states["context"].clone()),
            variables: vec![variables.as_object().expect("an object")],
        }
    }

    fn check(template: Value, states: Value, expect: Result<Value, &str>) {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let variables = json!({"count": 3, "nested": {"a": [1, 2]}});
        let now = Timestamp::from_millisecond(1_767_225_600_123).expect("valid");
        let mut scope = Scope::new(seen(&states, &variables), now, &entropy);
        let found = Template::parse(&template, "$").expect("parses").evaluate(&mut scope);
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found.to_string(), expect.to_string()),
            (Err(EvaluationError(found)), Err(expect)) => {
                assert!(found.contains(expect), "{found}")
            }
            (found, expect) => panic!("{template}: {found:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn expressions_see_states_and_variables_and_whole_numbers_stay_whole() {
        let states = json!({"input": {"n": 41, "list": [1, 2, 3], "f": 1.5, "s": "x"}});
        check(json!("{% $states.input.n + 1 %}"), states.clone(), Ok(json!(42)));
        check(json!({"a": ["{% $count %}", "plain"]}), states.clone(), Ok(json!({"a": [3, "plain"]})));
        check(json!("{% $states.input.f * 2 %}"), states.clone(), Ok(json!(3)));
        check(json!("{% $states.input.f %}"), states.clone(), Ok(json!(1.5)));
        check(json!("{% $nested.a[1] %}"), states.clone(), Ok(json!(2)));
        check(json!("{% $states.input %}"), states.clone(), Ok(states["input"].clone()));
        check(
            json!("{% $merge([$states.input.{'s': s}, {'t': 9007199254740991}]) %}"),
            states,
            Ok(json!({"s": "x", "t": 9_007_199_254_740_991_i64})),
        );
    }

    #[test]
    fn a_lookup_finds_what_an_evaluator_would() {
        let states = json!({
            "input": {"one": [7], "deep": {"list": [{"s": "x"}, {"s": "y"}], "null": null, "f": 2.0}, "s": "x"},
            "context": {"Execution": {"Input": {"stage": "Prod"}, "Name": "n"}},
            "result": {"Payload": {"status": "Succeeded"}},
        });
        for path in [
            "$states.input.s",
            "$states.input.one",
            "$states.input.deep",
            "$states.input.deep.list",
            "$states.input.deep.list.s",
            "$states.input.deep.f",
            "$states.input.s = 'x'",
            "$states.input.s = 'y'",
            "$states.input.absent = 'x'",
            "$states.input.deep = 'x'",
            "$states.context.Execution.Input.stage",
            "$states.context.Execution.Name",
            "$states.result.Payload.status",
            "$nested.a",
            "$count",
        ] {
            // In brackets it is no lookup any more.
            let (entropy, variables): (Arc<dyn Entropy>, _) =
                (Arc::new(SeededEntropy::new(1)), json!({"count": 3, "nested": {"a": [1, 2]}}));
            let evaluate = |source: &str| {
                let expr = Expr::parse(&format!("{{% {source} %}}")).expect("parses");
                let mut scope = Scope::new(seen(&states, &variables), Timestamp::UNIX_EPOCH, &entropy);
                expr.evaluate(&mut scope).expect("a value").to_string()
            };
            assert_eq!(evaluate(path), evaluate(&format!("({path})")), "{path}");
        }
    }

    #[test]
    fn nothing_functions_and_failures_are_errors() {
        check(json!("{% $states.input.absent %}"), json!({"input": {}}), Err("undefined"));
        check(json!("{% function($x) { $x } %}"), json!({}), Err("function"));
        check(json!("{% 'a' + 1 %}"), json!({}), Err("T2001"));
        check(json!("{% $eval('1') %}"), json!({}), Err("not available"));
        check(json!("{% $nosuch(1) %}"), json!({}), Err(""));
        assert!(
            Template::parse(&json!({"a": ["{% 1 + %}"]}), "$.Output").is_err_and(|(path, _)| path == "$.Output.a[0]")
        );
    }

    #[test]
    fn aws_functions() {
        check(json!("{% $partition([1,2,3,4,5], 2) %}"), json!({}), Ok(json!([[1, 2], [3, 4], [5]])));
        check(json!("{% $range(0, 10, 5) %}"), json!({}), Ok(json!([0, 5, 10])));
        check(json!("{% $range(3, 1, -1) %}"), json!({}), Ok(json!([3, 2, 1])));
        check(json!("{% $range(0, 10, 0) %}"), json!({}), Err("step"));
        check(json!("{% $parse('{\"a\": [1]}').a %}"), json!({}), Ok(json!([1])));
        check(json!("{% $parse('{') %}"), json!({}), Err("JSON"));
        check(
            json!("{% $hash('abc', 'SHA-256') %}"),
            json!({}),
            Ok(json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        );
        check(json!("{% $length($uuid()) %}"), json!({}), Ok(json!(36)));
        check(json!("{% $random(7) = $random(7) %}"), json!({}), Ok(json!(true)));
        check(json!("{% $random() < 1 %}"), json!({}), Ok(json!(true)));
        check(json!("{% $millis() %}"), json!({}), Ok(json!(1_767_225_600_123_i64)));
        check(json!("{% $now() %}"), json!({}), Ok(json!("2026-01-01T00:00:00.123Z")));
        check(json!("{% $now('[Y]') %}"), json!({}), Ok(json!("2026")));
    }
}
