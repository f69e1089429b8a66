//! Simple mutations of seeds, the same ones every time.

/// Bytes and numbers at which readers go wrong.
const ODD: &[&[u8]] = &[
    &[0],
    &[0xff],
    &[0x7f],
    &[0x80],
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"18446744073709551615",
    b"999999999999",
    b"/0",
    b"\"",
    b"[[[[[[[[[[[[[[[[",
    b"{",
    b"=",
    b",",
    b"\n",
    b"../",
    &[0xff; 4],
    &[0xff; 8],
    &[0; 8],
    &[0xff, 0xff, 0xff, 0x7f],
];

/// Random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// A number below `end`; 0 if there is none.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % end.max(1)
    }

    /// A seed, changed in one to four places.
    pub fn mutant(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            // Headers are at the beginning, and what is wrong in them goes furthest.
            let reach = if self.below(2) == 0 { bytes.len().min(256) } else { bytes.len() };
            let at = self.below(reach + 1).min(bytes.len());
            let end = (at + self.below(16)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let repeated = bytes[at..end].repeat(1 + self.below(4));
                    drop(bytes.splice(at..at, repeated));
                }
                4 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
                _ => drop(bytes.splice(at..end, ODD[self.below(ODD.len())].iter().copied())),
            }
        }
        bytes
    }
}
