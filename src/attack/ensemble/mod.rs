//! Several attacks as one: who survives the first meets the next.

pub mod autoattack;
pub mod estimated;
mod spiking;
pub mod targeted;
pub mod transferred;
