//! What the use cases need from the outside world, one narrow trait per capability.

mod clock;

pub use clock::{Clock, Entropy};
