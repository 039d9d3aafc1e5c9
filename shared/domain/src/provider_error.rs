//! What an error of a provider means for the action (spec 6.3): CodePipeline's failure types are few, and services have
//! many errors.

/// CodePipeline's failure types (spec 6.3).
const FAILURE_TYPES: [&str; 6] = [
    "JobFailed",
    "ConfigurationError",
    "PermissionError",
    "RevisionOutOfSync",
    "RevisionUnavailable",
    "SystemUnavailable",
];

/// Parts of error names, in the order in which they are looked for, and what they say. Names are those that Step
/// Functions makes of a service's errors, such as `CodeBuild.ResourceNotFoundException`.
const PARTS: [(&str, &str); 17] = [
    ("AccessDenied", "PermissionError"),
    ("NotAuthorized", "PermissionError"),
    ("Unauthorized", "PermissionError"),
    ("Permissions", "PermissionError"),
    ("Throttl", "SystemUnavailable"),
    ("TooManyRequests", "SystemUnavailable"),
    ("LimitExceeded", "SystemUnavailable"),
    ("Unavailable", "SystemUnavailable"),
    ("InternalFailure", "SystemUnavailable"),
    ("NotFound", "ConfigurationError"),
    ("DoesNotExist", "ConfigurationError"),
    ("NameRequired", "ConfigurationError"),
    ("Invalid", "ConfigurationError"),
    ("Validation", "ConfigurationError"),
    ("QueryEvaluationError", "ConfigurationError"),
    ("States.Runtime", "ConfigurationError"),
    ("NoEndpoint", "ConfigurationError"),
];

/// The failure type of an error called `code`, whose text is `message`. Services that model few of their errors name
/// them in the text alone: `CodeBuild.CodeBuildException` may be anything.
pub fn failure_type(code: &str, message: &str) -> &'static str {
    if let Some(known) = FAILURE_TYPES.iter().find(|known| **known == code) {
        return known;
    }
    let said = |text: &str| PARTS.iter().find(|(part, _)| text.contains(part)).map(|(_, means)| *means);
    let is_vague = code.split_once('.').is_some_and(|(service, error)| error == format!("{service}Exception"));
    said(code).or_else(|| said(message).filter(|_| is_vague)).unwrap_or("JobFailed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_services_become_failure_types() {
        let cases = [
            ("JobFailed", "", "JobFailed"),
            ("PermissionError", "NotFound", "PermissionError"),
            ("CodeBuild.ResourceNotFoundException", "", "ConfigurationError"),
            ("CodeBuild.AccountLimitExceededException", "", "SystemUnavailable"),
            (
                "CodeBuild.CodeBuildException",
                "is not authorized (Error Code: AccessDeniedException)",
                "PermissionError",
            ),
            ("CodeBuild.CodeBuildException", "Rate exceeded (Error Code: ThrottlingException)", "SystemUnavailable"),
            ("CodeDeploy.ApplicationDoesNotExistException", "", "ConfigurationError"),
            ("CodeDeploy.ThrottlingException", "", "SystemUnavailable"),
            ("Sfn.StateMachineDoesNotExistException", "", "ConfigurationError"),
            ("States.Permissions", "", "PermissionError"),
            ("HEALTH_CONSTRAINTS", "Not Found on two instances", "JobFailed"),
            ("FAILED", "NotFound", "JobFailed"),
        ];
        for (code, message, expected) in cases {
            assert_eq!(failure_type(code, message), expected, "{code}: {message}");
        }
    }
}
