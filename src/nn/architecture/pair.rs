//! A pair of numbers for height and width.

use serde::{Deserialize, Serialize};

/// [y, x]; in files one number stands for two equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct Pair(pub [usize; 2]);

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "a whole number of at least 0, or two of them: [y, x]")]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

impl From<OneOrTwo> for Pair {
    fn from(from: OneOrTwo) -> Self {
        match from {
            OneOrTwo::One(one) => Self([one; 2]),
            OneOrTwo::Two(two) => Self(two),
        }
    }
}

impl From<Pair> for OneOrTwo {
    fn from(Pair([y, x]): Pair) -> Self {
        if y == x { Self::One(y) } else { Self::Two([y, x]) }
    }
}
