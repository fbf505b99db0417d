//! Servers that do what a test tells them, in this process, on a free port of the loopback address.

pub(crate) mod http_server;
pub(crate) mod smtp_server;
