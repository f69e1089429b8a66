//! Fills and maps small arrays inside kernels.
//!
//! `std::array::from_fn` and `[T; N]::map` do the same, but they hand the closure through functions that are inlined only
//! if the compiler likes to. Where it does not, the closure is compiled without the kernel's instruction set, and every
//! vector operation in it becomes a function call: with many codegen units and no link-time optimization, kernels were
//! slower (docs/performance.md has measurements). These two are loops.

/// `[f(0), f(1), ...]`
#[inline(always)]
pub fn from_fn<T: Copy, const N: usize>(mut f: impl FnMut(usize) -> T) -> [T; N] {
    const { assert!(N > 0) };
    let mut array = [f(0); N];
    #[allow(clippy::needless_range_loop)] // no iterator stands between the loop and the closure
    for i in 1..N {
        array[i] = f(i);
    }
    array
}

/// `[f(array[0]), f(array[1]), ...]`
#[inline(always)]
pub fn map<T: Copy, R: Copy, const N: usize>(array: [T; N], mut f: impl FnMut(T) -> R) -> [R; N] {
    from_fn(
        #[inline(always)]
        |i| f(array[i]),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn same_as_the_standard_library() {
        assert_eq!(super::from_fn::<_, 5>(|i| i * i), std::array::from_fn(|i| i * i));
        assert_eq!(super::map([3, 1, 2], |x| 2 * x), [6, 2, 4]);
    }
}
