//! The run-time choice of instruction set.

#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use super::{Portable, Simd};
use crate::{Error, Result};

/// An instruction set that this processor has: every variant holds its proof token.
#[derive(Clone, Copy, Debug)]
pub enum Isa {
    /// Plain Rust; everywhere.
    Portable(Portable),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 F and DQ.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// The environment variable that forces an instruction set.
pub const VARIABLE: &str = "DEEPSLEEP_ISA";

impl Isa {
    /// The one to use: what `DEEPSLEEP_ISA` (`portable`, `avx2` or `avx512`) asks for, else the widest that the
    /// processor has. Results are the same bits with all of them.
    ///
    /// # Errors
    /// If the variable names something unknown, or an instruction set that this processor lacks.
    pub fn detect() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::by_name(&name),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(Self::widest()),
            Err(std::env::VarError::NotUnicode(name)) => Err(unknown(&name.to_string_lossy())),
        }
    }

    /// The instruction set of this name.
    ///
    /// # Errors
    /// If the name is unknown, or the processor lacks it.
    pub fn by_name(name: &str) -> Result<Self> {
        let lacking = || {
            Error::Isa(format!(
                "{VARIABLE}={name}: this processor has no {name}; it has {}",
                Self::names()
            ))
        };
        match name {
            Portable::NAME => Ok(Self::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            Avx2::NAME => Avx2::new().map(Self::Avx2).ok_or_else(lacking),
            #[cfg(target_arch = "x86_64")]
            Avx512::NAME => Avx512::new().map(Self::Avx512).ok_or_else(lacking),
            #[cfg(not(target_arch = "x86_64"))]
            "avx2" | "avx512" => Err(lacking()),
            _ => Err(unknown(name)),
        }
    }

    /// Every instruction set that this processor has, from the portable one to the widest.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut all = vec![Self::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx2::new().map(Self::Avx2));
            all.extend(Avx512::new().map(Self::Avx512));
        }
        all
    }

    /// The name that `DEEPSLEEP_ISA` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => Portable::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::NAME,
        }
    }

    fn widest() -> Self {
        // `available` goes from the narrowest to the widest, and is never empty.
        Self::available().pop().unwrap_or(Self::Portable(Portable))
    }

    fn names() -> String {
        Self::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
    }
}

fn unknown(name: &str) -> Error {
    Error::Isa(format!("{VARIABLE}={name}: unknown instruction set; use portable, avx2 or avx512"))
}

/// Runs an expression with the token of an [`Isa`], compiled for that instruction set:
/// `dispatch!(isa, s => body(s, x, y))`, where `body` is `#[inline(always)]` and generic over [`Simd`](super::Simd).
#[doc(hidden)]
#[macro_export]
macro_rules! __dispatch {
    ($isa:expr, $s:ident => $body:expr) => {
        match $isa {
            $crate::simd::Isa::Portable($s) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx2($s) => $crate::simd::Simd::vectorize(
                $s,
                #[inline(always)]
                || $body,
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx512($s) => $crate::simd::Simd::vectorize(
                $s,
                #[inline(always)]
                || $body,
            ),
        }
    };
}
pub use crate::__dispatch as dispatch;
