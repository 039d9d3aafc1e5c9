//! Every choice of a run, determined by its seed.

use engine::ports::Entropy;

/// A stream of choices (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream that `seed` determines.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream, which takes one choice of this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// A number between both, which are among them.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to - from).unwrap_or_default() + 1;
        from + i64::try_from(self.next() % width).unwrap_or_default()
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&mut self, of: u32) -> bool {
        self.next() % 1000 < u64::from(of)
    }

    /// One of `items`, of which there is at least one.
    pub(crate) fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Randomness for ids and tokens, apart from the choices, so that a new id does not change what happens next.
#[derive(Debug)]
pub(crate) struct Ids(pub(crate) runtime::SeededEntropy);

impl Entropy for Ids {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
