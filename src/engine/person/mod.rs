//! What a person may ask of whoever keeps records about them: to see everything, and to be forgotten.

pub mod erase;
pub mod export;
