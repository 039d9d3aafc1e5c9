//! The stand-in as clients meet it: real HTTP on a local port, the official SDK, and raw requests where it hides things.

mod listings;
mod multipart;
mod notifications;
mod objects;
mod server;
mod versions;
mod wire;
