//! The whole system over its real stores: stories, kills and bad input.

mod fenced;
mod killed;
mod look;
mod process;
