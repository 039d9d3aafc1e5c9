//! Digests of bodies: the MD5 behind every ETag and the checksums clients send along.

use base64::{Engine, prelude::BASE64_STANDARD};
use s3s::{
    S3ErrorCode,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Md5},
    dto,
};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The checksum algorithms of S3, in the spelling of its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm S3 calls `name`.
    ///
    /// # Errors
    /// `InvalidRequest` for a name S3 does not know.
    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Fault::refused(
                    S3ErrorCode::InvalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
                )
            })
    }

    /// The header, or trailer, that carries this checksum.
    pub(crate) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
            Self::Crc64nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::Crc32 => hasher.crc32 = Some(Default::default()),
            Self::Crc32c => hasher.crc32c = Some(Default::default()),
            Self::Crc64nvme => hasher.crc64nvme = Some(Default::default()),
            Self::Sha1 => hasher.sha1 = Some(Default::default()),
            Self::Sha256 => hasher.sha256 = Some(Default::default()),
        }
        hasher
    }
}

/// One stored checksum: the value as S3 writes it, and whether it covers the bytes or the parts' checksums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) value: String,
    pub(crate) composite: bool,
}

impl Checksum {
    fn whole(algorithm: Algorithm, value: String) -> Self {
        Self { algorithm, value, composite: false }
    }

    /// The same as the wire's structure, which has one field per algorithm.
    pub(crate) fn to_dto(&self) -> dto::Checksum {
        let value = Some(self.value.clone());
        let kind = if self.composite { dto::ChecksumType::COMPOSITE } else { dto::ChecksumType::FULL_OBJECT };
        let mut sum = dto::Checksum { checksum_type: Some(dto::ChecksumType::from_static(kind)), ..Default::default() };
        match self.algorithm {
            Algorithm::Crc32 => sum.checksum_crc32 = value,
            Algorithm::Crc32c => sum.checksum_crc32c = value,
            Algorithm::Crc64nvme => sum.checksum_crc64nvme = value,
            Algorithm::Sha1 => sum.checksum_sha1 = value,
            Algorithm::Sha256 => sum.checksum_sha256 = value,
        }
        sum
    }

    /// The checksum in the wire's structure, if any field is set.
    pub(crate) fn from_dto(sum: dto::Checksum) -> Option<Self> {
        [
            (Algorithm::Crc32, sum.checksum_crc32),
            (Algorithm::Crc32c, sum.checksum_crc32c),
            (Algorithm::Crc64nvme, sum.checksum_crc64nvme),
            (Algorithm::Sha1, sum.checksum_sha1),
            (Algorithm::Sha256, sum.checksum_sha256),
        ]
        .into_iter()
        .find_map(|(algorithm, value)| Some(Self::whole(algorithm, value?)))
    }

    /// The checksum of an object assembled from `parts` (their checksums and sizes in bytes), in S3's two ways.
    pub(crate) fn of_parts(algorithm: Algorithm, composite: bool, parts: &[(&str, u64)]) -> Option<Self> {
        let raw: Vec<(Vec<u8>, u64)> = parts
            .iter()
            .map(|(value, size)| Some((BASE64_STANDARD.decode(value).ok()?, *size)))
            .collect::<Option<_>>()?;
        if composite {
            let mut hasher = algorithm.hasher();
            raw.iter().for_each(|(value, _)| hasher.update(value));
            let sum = Self::from_dto(hasher.finalize())?;
            return Some(Self { value: format!("{}-{}", sum.value, parts.len()), composite: true, ..sum });
        }
        let crc = algorithm.crc()?;
        let width = raw.first()?.0.len();
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let whole = raw
            .iter()
            .map(|(value, size)| (number(value), *size))
            .reduce(|(left, before), (right, size)| {
                (crc_fast::checksum_combine(crc, left, right, size), before + size)
            })?
            .0;
        let bytes = &whole.to_be_bytes()[8_usize.checked_sub(width)?..];
        Some(Self::whole(algorithm, BASE64_STANDARD.encode(bytes)))
    }
}

/// Digests under way over a body.
pub(crate) struct Digests {
    md5: Md5,
    sum: Option<ChecksumHasher>,
    size: u64,
}

/// What was measured of a whole body.
#[derive(Debug, Clone)]
pub(crate) struct Digested {
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<Checksum>,
    /// Bytes.
    pub(crate) size: u64,
}

impl Digests {
    /// Digests of an empty body, ready for more.
    pub(crate) fn new(algorithm: Option<Algorithm>) -> Self {
        Self { md5: Md5::new(), sum: algorithm.map(Algorithm::hasher), size: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        self.size += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Digested {
        Digested {
            md5: self.md5.finalize(),
            checksum: self.sum.and_then(|sum| Checksum::from_dto(sum.finalize())),
            size: self.size,
        }
    }
}

impl Digested {
    /// The ETag of a body that arrived in one piece.
    pub(crate) fn etag(&self) -> String {
        hex::encode(self.md5)
    }

    /// Compares with what the client said it would send.
    ///
    /// # Errors
    /// `IncompleteBody`, `InvalidDigest` or `BadDigest`.
    pub(crate) fn check(
        &self,
        length: Option<i64>,
        md5: Option<&str>,
        checksum: Option<&Checksum>,
    ) -> Result<(), Fault> {
        if length.is_some_and(|length| u64::try_from(length) != Ok(self.size)) {
            return Err(Fault::refused(
                S3ErrorCode::IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header.",
            ));
        }
        if let Some(md5) = md5 {
            match BASE64_STANDARD.decode(md5) {
                Ok(sent) if sent == self.md5 => {}
                Ok(sent) if sent.len() == self.md5.len() => {
                    return Err(Fault::refused(
                        S3ErrorCode::BadDigest,
                        "The Content-MD5 you specified did not match what we received.",
                    ));
                }
                _ => {
                    return Err(Fault::refused(
                        S3ErrorCode::InvalidDigest,
                        "The Content-MD5 you specified was invalid.",
                    ));
                }
            }
        }
        if let Some(sent) = checksum
            && self.checksum.as_ref().is_none_or(|ours| ours.value != sent.value)
        {
            return Err(Fault::refused(
                S3ErrorCode::BadDigest,
                format!("The {} you specified did not match the calculated checksum.", sent.algorithm.name()),
            ));
        }
        Ok(())
    }
}

/// The ETag of an object assembled from parts with these MD5s.
pub(crate) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    format!("{}-{}", hex::encode(md5.finalize()), parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_parts_equals_the_checksum_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64nvme] {
            let sum = |bytes: &[u8]| {
                let mut digests = Digests::new(Some(algorithm));
                digests.update(bytes);
                digests.finish().checksum.expect("an algorithm was asked for").value
            };
            let (left, right) = (sum(b"good morn"), sum(b"ing"));
            let whole = Checksum::of_parts(algorithm, false, &[(&left, 9), (&right, 3)]).expect("both decode");
            assert_eq!(whole.value, sum(b"good morning"), "{}", algorithm.name());
        }
    }
}
