//! Several attacks as one: who survives the first meets the next.

pub mod autoattack;
pub mod estimated;
pub mod member;
mod spiking;
pub mod targeted;
pub mod transferred;
