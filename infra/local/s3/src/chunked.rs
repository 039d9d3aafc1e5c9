//! The `aws-chunked` content coding: sized chunks, optional chunk signatures (not verified), trailing headers.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};

/// Longest line between chunks: a size and a signature, or one trailer. Anything longer is not aws-chunked.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Most trailers kept; S3 defines two.
const TRAILERS_MAX: usize = 16;

/// The trailing headers of a body, known once it has been read to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trailers(Arc<Mutex<Vec<(String, String)>>>);

impl Trailers {
    /// The trailer called `name` (lower case).
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let trailers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trailers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

/// The payload inside `body`; trailers go into the handle returned with it.
pub(crate) fn decode<S, E>(body: S) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Trailers)
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let trailers = Trailers::default();
    let decoder = Decoder { buffer: BytesMut::new(), state: State::Size, trailers: trailers.clone() };
    let payload = stream::try_unfold((body, decoder), |(mut body, mut decoder)| async move {
        loop {
            match decoder.step()? {
                Step::Payload(bytes) => return Ok(Some((bytes, (body, decoder)))),
                Step::Done => return Ok(None),
                Step::More => match body.next().await {
                    Some(bytes) => decoder.buffer.extend_from_slice(&bytes.map_err(io::Error::other)?),
                    None => decoder.end()?,
                },
            }
        }
    });
    (payload, trailers)
}

struct Decoder {
    buffer: BytesMut,
    state: State,
    trailers: Trailers,
}

enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

enum Step {
    Payload(Bytes),
    More,
    Done,
}

impl Decoder {
    fn step(&mut self) -> io::Result<Step> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = self.line()? else {
                        return Ok(Step::More);
                    };
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk has no size"))?;
                    self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                }
                State::Data(left) => {
                    if self.buffer.is_empty() {
                        return Ok(Step::More);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    let left = left - take as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Step::Payload(self.buffer.split_to(take).freeze()));
                }
                State::DataEnd => match self.line()? {
                    None => return Ok(Step::More),
                    Some(line) if line.is_empty() => self.state = State::Size,
                    Some(_) => return Err(malformed("a chunk is longer than its size")),
                },
                State::Trailer => match self.line()? {
                    None => return Ok(Step::More),
                    Some(line) if line.is_empty() => self.state = State::Done,
                    Some(line) => self.trailer(&line)?,
                },
                State::Done => return Ok(Step::Done),
            }
        }
    }

    /// The input ended: fine after the last chunk, with or without the closing empty line.
    fn end(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Trailer) {
            return Err(malformed("the body ends inside a chunk"));
        }
        let rest = self.buffer.split();
        if !rest.is_empty() {
            self.trailer(&String::from_utf8_lossy(&rest))?;
        }
        self.state = State::Done;
        Ok(())
    }

    fn trailer(&self, line: &str) -> io::Result<()> {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a trailer has no colon"))?;
        let mut trailers = self.trailers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trailers.len() == TRAILERS_MAX {
            return Err(malformed("there are too many trailers"));
        }
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return match self.buffer.len() {
                0..=LINE_BYTES_MAX => Ok(None),
                _ => Err(malformed("a line between chunks is too long")),
            };
        };
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        let line = std::str::from_utf8(&line).map_err(|_| malformed("a line between chunks is not text"))?;
        Ok(Some(line.trim_end_matches('\r').to_owned()))
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a valid aws-chunked body: {what}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{TryStreamExt, executor::block_on};

    use super::*;

    fn decode_in_pieces(body: &'static [u8], size: usize) -> (io::Result<Vec<u8>>, Trailers) {
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece))).collect();
        let (payload, trailers) = decode(stream::iter(pieces));
        let bytes = block_on(payload.map_ok(|bytes| bytes.to_vec()).try_concat());
        (bytes, trailers)
    }

    #[test]
    fn payload_and_trailers_are_separated_wherever_the_network_cuts() {
        let body = b"5;chunk-signature=abc\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for size in 1..body.len() {
            let (bytes, trailers) = decode_in_pieces(body, size);
            assert_eq!(bytes.expect("well formed"), b"hello world");
            assert_eq!(trailers.get("x-amz-checksum-crc32").as_deref(), Some("AAAA"));
        }
    }

    #[test]
    fn broken_bodies_are_errors() {
        for body in
            [&b"5\r\nhel"[..], b"zz\r\nhello\r\n0\r\n\r\n", b"2\r\nhello\r\n0\r\n\r\n", b"0\r\nnonsense\r\n\r\n"]
        {
            assert!(decode_in_pieces(body, 3).0.is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
