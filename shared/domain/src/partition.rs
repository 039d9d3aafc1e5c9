//! Partitions of AWS: what an ARN begins with follows from its region.

/// Beginnings of regions' names outside the partition `aws`, and what their ARNs say.
const ELSEWHERE: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
];

/// The partition of `region`, such as `aws-cn` of `cn-north-1`; `aws` of whatever belongs to no other.
pub fn partition_of(region: &str) -> &'static str {
    ELSEWHERE.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, partition)| partition)
}

/// Where AWS's own console has its pages about `region`, such as `https://cn-north-1.console.amazonaws.cn`; none where it is
/// not known to people outside the partition.
pub fn aws_console(region: &str) -> Option<String> {
    let domain = match partition_of(region) {
        "aws" => "aws.amazon.com",
        "aws-cn" => "amazonaws.cn",
        "aws-us-gov" => "amazonaws-us-gov.com",
        _ => return None,
    };
    Some(format!("https://{region}.console.{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_in_their_partition() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("eu-west-1", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            assert_eq!(partition_of(region), partition, "{region}");
        }
    }

    #[test]
    fn links_to_aws_lead_to_the_console_of_the_partition() {
        for (region, console) in [
            ("eu-west-1", Some("https://eu-west-1.console.aws.amazon.com")),
            ("cn-north-1", Some("https://cn-north-1.console.amazonaws.cn")),
            ("us-gov-west-1", Some("https://us-gov-west-1.console.amazonaws-us-gov.com")),
            ("us-iso-east-1", None),
        ] {
            assert_eq!(aws_console(region).as_deref(), console);
        }
    }
}
