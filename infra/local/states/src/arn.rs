//! Names and ARNs of the one account and region that exist here.

/// The only region.
pub(crate) const REGION: &str = "us-east-1";
/// The only account.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The bare name in a function's name, partial ARN or ARN, without version or alias.
pub(crate) fn function_name(text: &str) -> Option<&str> {
    let rest = text.split_once(":function:").map_or(text, |(_, rest)| rest);
    let name = rest.split(':').next().unwrap_or_default();
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The ARN of the state machine that `text` names by ARN (with or without version) or by bare name.
pub(crate) fn machine_arn(text: &str) -> String {
    let rest = text.split_once(":stateMachine:").map_or(text, |(_, rest)| rest);
    let name = rest.split(':').next().unwrap_or_default();
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

/// The name at the end of a state machine's ARN.
pub(crate) fn machine_name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or_default()
}

/// The ARN of one execution.
pub(crate) fn execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_and_arns_give_the_bare_name() {
        for text in [
            "gate",
            "gate:live",
            "000000000000:function:gate",
            "arn:aws:lambda:us-east-1:000000000000:function:gate",
            "arn:aws:lambda:us-east-1:000000000000:function:gate:$LATEST",
        ] {
            assert_eq!(function_name(text), Some("gate"), "{text}");
        }
        assert_eq!(function_name(""), None);
    }

    #[test]
    fn machines_are_known_by_name_or_arn() {
        let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:run";
        assert_eq!(machine_arn("run"), arn);
        assert_eq!(machine_arn(arn), arn);
        assert_eq!(machine_arn(&format!("{arn}:3")), arn);
        assert_eq!(machine_name(arn), "run");
    }
}
