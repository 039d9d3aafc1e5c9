//! ARNs of state machines.

/// A machine's ARN, and the alias that it ends in, with its colon.
pub(crate) fn without_alias(machine_arn: &str) -> (&str, &str) {
    // arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME, and perhaps one part more.
    let end = machine_arn.match_indices(':').nth(6).map_or(machine_arn.len(), |(at, _)| at);
    machine_arn.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_what_follows_the_name() {
        let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:m";
        assert_eq!(without_alias(arn), (arn, ""));
        assert_eq!(without_alias(&format!("{arn}:live")), (arn, ":live"));
    }
}
