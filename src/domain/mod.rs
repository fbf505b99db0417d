//! What a listening window knows and promises, as values and pure functions: no I/O, no clock, no runtime.
//!
//! The domain uses std, jiff and serde only. Every function that needs to know the time takes it as an argument; every
//! decision carries its reason.

pub mod advice;
pub mod agenda;
pub mod benefit;
pub mod booking;
pub mod calendar;
pub mod case;
pub mod command;
pub mod delivery;
pub mod digest;
pub mod event;
pub mod guard;
pub mod house;
pub mod ids;
pub mod knowledge;
pub mod label;
pub mod ladder;
pub mod milestone;
pub mod notice;
pub mod office;
pub mod org;
pub mod period;
pub mod person;
pub mod plan;
pub mod policy;
pub mod quiet;
pub mod recount;
pub mod reminder;
pub mod retry;
pub mod rota;
pub mod rulebook;
pub mod sms_reply;
pub mod solar;
pub mod text;
