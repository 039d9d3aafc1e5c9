//! The ways to name a function.

use crate::{FunctionError, Owner, RegisterError};

/// Longest function name (Lambda's limit).
const NAME_BYTES_MAX: usize = 64;

/// Whether `name` is one that Lambda accepts for a new function.
///
/// # Errors
/// It is not.
pub(crate) fn check(name: &str) -> Result<(), RegisterError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        Ok(())
    } else {
        Err(RegisterError::Name(name.to_owned()))
    }
}

/// The plain name in `reference`: a name, `account:function:name` or an ARN, each with or without `:$LATEST`.
///
/// # Errors
/// `ResourceNotFoundException` for another account's function and for versions and aliases, which do not exist here.
pub(crate) fn resolve<'a>(reference: &'a str, owner: &Owner) -> Result<&'a str, FunctionError> {
    let parts: Vec<&str> = reference.split(':').collect();
    let (account, name, qualifier) = match parts.as_slice() {
        [name] => (None, *name, None),
        [name, qualifier] => (None, *name, Some(*qualifier)),
        [account, "function", name] => (Some(*account), *name, None),
        [account, "function", name, qualifier] => (Some(*account), *name, Some(*qualifier)),
        ["arn", _, "lambda", _, account, "function", name] => (Some(*account), *name, None),
        ["arn", _, "lambda", _, account, "function", name, qualifier] => (Some(*account), *name, Some(*qualifier)),
        _ => return Err(FunctionError::not_found(reference)),
    };
    let is_ours = account.is_none_or(|account| account == owner.account);
    let is_latest = qualifier.is_none_or(|qualifier| qualifier == "$LATEST");
    if is_ours && is_latest { Ok(name) } else { Err(FunctionError::not_found(reference)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_lead_to_the_same_function() {
        let owner = Owner::default();
        for reference in [
            "smoke",
            "smoke:$LATEST",
            "000000000000:function:smoke",
            "arn:aws:lambda:us-east-1:000000000000:function:smoke",
            "arn:aws:lambda:us-east-1:000000000000:function:smoke:$LATEST",
        ] {
            assert_eq!(resolve(reference, &owner), Ok("smoke"), "{reference}");
        }
        for reference in
            ["smoke:live", "arn:aws:lambda:us-east-1:111111111111:function:smoke", "arn:aws:s3:::smoke", "a:b:c"]
        {
            let error = resolve(reference, &owner).expect_err(reference);
            assert_eq!(error.error, "ResourceNotFoundException");
        }
    }

    #[test]
    fn names_are_as_lambda_takes_them() {
        assert!(check("smoke-test_2").is_ok());
        for name in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
