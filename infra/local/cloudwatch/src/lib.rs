//! local-cloudwatch
