//! The functions AWS adds to JSONata, and the ones it takes away; time and randomness come from outside.

use std::sync::Arc;

use engine::ports::Entropy;
use jiff::Timestamp;
use jsonata_core::{
    evaluator::{Context, Evaluator, EvaluatorError},
    parser,
    value::JValue,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Longest array `$range` and `$partition` may give, as on AWS.
const RANGE_LENGTH_MAX: f64 = 1_000.0;

type Answer = Result<JValue, EvaluatorError>;

/// Makes every AWS function known to `evaluator`.
pub(super) fn register(evaluator: &mut Evaluator, now: Timestamp, entropy: &Arc<dyn Entropy>) {
    let uuid_entropy = Arc::clone(entropy);
    let random_entropy = Arc::clone(entropy);
    let new = [
        evaluator.register_fn("partition", partition),
        evaluator.register_fn("range", range),
        evaluator.register_fn("parse", parse),
        evaluator.register_fn("hash", hash),
        evaluator.register_fn("uuid", move |_: &[JValue]| Ok(JValue::from(uuid_entropy.uuid().to_string()))),
        evaluator.register_fn_override("random", move |args: &[JValue]| random(args, &*random_entropy)),
        evaluator.register_fn_override("millis", move |_: &[JValue]| Ok(millis(now))),
        evaluator.register_fn_override("now", move |args: &[JValue]| format_now(args, now)),
        evaluator.register_fn_override("eval", |_: &[JValue]| Err(failure("$eval is not available in Step Functions"))),
    ];
    for registered in new {
        registered.expect("none of these names takes part in the compiled fast path");
    }
}

fn failure(message: impl Into<String>) -> EvaluatorError {
    EvaluatorError::EvaluationError(message.into())
}

fn number(args: &[JValue], index: usize, what: &str) -> Result<f64, EvaluatorError> {
    let found = args.get(index).and_then(JValue::as_f64).filter(|n| n.is_finite());
    found.ok_or_else(|| failure(format!("{what} must be a number")))
}

fn text<'a>(args: &'a [JValue], index: usize, what: &str) -> Result<&'a str, EvaluatorError> {
    args.get(index).and_then(JValue::as_str).ok_or_else(|| failure(format!("{what} must be a string")))
}

fn partition(args: &[JValue]) -> Answer {
    let items = args
        .first()
        .and_then(JValue::as_array)
        .ok_or_else(|| failure("$partition: the first argument must be an array"))?;
    let size = number(args, 1, "$partition: the chunk size")?;
    if size < 1.0 {
        return Err(failure("$partition: the chunk size must be at least 1"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be at least 1; AWS rounds down"
    )]
    let size = size as usize;
    Ok(JValue::array(items.chunks(size).map(|chunk| JValue::array(chunk.to_vec())).collect()))
}

fn range(args: &[JValue]) -> Answer {
    let (first, last) = (number(args, 0, "$range: the first value")?, number(args, 1, "$range: the last value")?);
    let step = number(args, 2, "$range: the step")?;
    if step == 0.0 {
        return Err(failure("$range: the step must not be zero"));
    }
    if (last - first) / step >= RANGE_LENGTH_MAX {
        return Err(failure("$range: the array may hold at most 1000 items"));
    }
    let inside = |n: &f64| if step > 0.0 { *n <= last } else { *n >= last };
    let values = std::iter::successors(Some(first), |n| Some(n + step)).take_while(inside);
    Ok(JValue::array(values.map(JValue::Number).collect()))
}

fn parse(args: &[JValue]) -> Answer {
    JValue::from_json_str(text(args, 0, "$parse: the argument")?)
        .map_err(|error| failure(format!("$parse: not JSON: {error}")))
}

fn hash(args: &[JValue]) -> Answer {
    let data = text(args, 0, "$hash: the data")?;
    let digest = match text(args, 1, "$hash: the algorithm")? {
        "SHA-256" => hex::encode(Sha256::digest(data)),
        "SHA-384" => hex::encode(Sha384::digest(data)),
        "SHA-512" => hex::encode(Sha512::digest(data)),
        other => {
            return Err(failure(format!("$hash: {other} is not one of SHA-256, SHA-384, SHA-512")));
        }
    };
    Ok(JValue::from(digest))
}

fn random(args: &[JValue], entropy: &dyn Entropy) -> Answer {
    let mut bytes = [0; 8];
    match args.first() {
        None | Some(JValue::Undefined) => entropy.fill(&mut bytes),
        // The same seed gives the same number; which one is nobody's business.
        Some(_) => {
            let seed = number(args, 0, "$random: the seed")?;
            bytes.copy_from_slice(&Sha256::digest(seed.to_bits().to_le_bytes())[..8]);
        }
    }
    Ok(JValue::Number(unit_interval(u64::from_le_bytes(bytes))))
}

/// A number in [0, 1) from 64 random bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
pub(crate) fn unit_interval(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53 for 285,000 years")]
fn millis(now: Timestamp) -> JValue {
    JValue::Number(now.as_millisecond() as f64)
}

fn format_now(args: &[JValue], now: Timestamp) -> Answer {
    let expression = match args.len() {
        0 => "$fromMillis($at)",
        1 => "$fromMillis($at, $picture)",
        _ => "$fromMillis($at, $picture, $zone)",
    };
    let ast = parser::parse(expression).map_err(|error| failure(error.display_message()))?;
    let mut context = Context::new();
    context.bind("at".to_owned(), millis(now));
    for (name, value) in ["picture", "zone"].into_iter().zip(args) {
        context.bind(name.to_owned(), value.clone());
    }
    Evaluator::with_context(context).evaluate(&ast, &JValue::Undefined)
}
