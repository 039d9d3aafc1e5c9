//! A function in the frame that all of ours use, for the test that its errors reach callers under their names.

use runtime::{NamedError, serve};
use serde::Deserialize;

#[derive(Deserialize)]
struct Question {
    number: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the number is odd; send an even one")]
struct Odd;

impl NamedError for Odd {
    fn name(&self) -> &'static str {
        "NumberOdd"
    }
}

async fn halve(question: Question) -> Result<u64, Odd> {
    match question.number % 2 {
        0 => Ok(question.number / 2),
        _ => Err(Odd),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    serve("served", |question, _deadline| halve(question)).await
}
