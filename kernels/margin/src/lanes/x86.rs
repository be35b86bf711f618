//! The rows' arithmetic in AVX-512 and in AVX2.
#![allow(
    unsafe_code,
    reason = "an intrinsic is sound where the processor has it, which a token of its path vouches for"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi64, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_mul_epi32, _mm256_mul_epu32, _mm256_mullo_epi32, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_shuffle_epi32, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm512_add_epi64,
    _mm512_loadu_si512, _mm512_mask_blend_epi64, _mm512_min_epi64, _mm512_mul_epi32, _mm512_mullo_epi64,
    _mm512_permutex2var_epi64, _mm512_reduce_min_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_srli_epi64,
    _mm512_storeu_si512, _mm512_test_epi64_mask, _mm_prefetch, _MM_HINT_T0,
};

use super::{pick, Kernel, Lanes, Portable, Row};
use crate::table::NarrowRow;
use holdfast_pricing::{Path, Set};

/// Vouches that the processor has AVX-512 F and DQ: only `run_avx512` makes one.
#[derive(Clone, Copy)]
struct Avx512(());

/// Vouches that the processor has AVX2: only `run_avx2` makes one.
#[derive(Clone, Copy)]
struct Avx2(());

pub fn run<K: Kernel>(path: Path, kernel: K) -> K::Output {
    match path.set() {
        // SAFETY, of both: a path exists only where the processor has its instructions.
        Set::Avx512 => unsafe { run_avx512(kernel) },
        Set::Avx2 => unsafe { run_avx2(kernel) },
        Set::Portable => kernel.run(Portable),
    }
}

#[target_feature(enable = "avx512f,avx512dq,bmi2")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

#[target_feature(enable = "avx2,bmi2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

#[inline(always)]
fn prefetch(row: &Row) {
    for line in row.chunks(8) {
        // SAFETY: the address is inside a row; a prefetch changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

/// A number that fits 32 bits. The products sign-extend the lower half of each 64 bits themselves; they are handed nothing
/// wider, since the compiler would then extend it once more for every position.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "it fits")]
fn low_half(number: i64) -> i32 {
    number as i32
}

// SAFETY, for every block below: the token vouches for the instructions, and each load and store stays inside a row,
// whose 32 numbers are 4 registers of 8, or 8 registers of 4.
impl Lanes for Avx512 {
    type Sums = [__m512i; 4];

    #[inline(always)]
    fn splat(self, value: i64) -> Self::Sums {
        [unsafe { _mm512_set1_epi64(value) }; 4]
    }

    #[inline(always)]
    fn load(self, row: &Row) -> Self::Sums {
        let mut sums = self.splat(0);
        for (sum, part) in sums.iter_mut().zip(row.as_chunks::<8>().0) {
            *sum = unsafe { _mm512_loadu_si512(part.as_ptr().cast()) };
        }
        sums
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, row: &mut Row) {
        for (sum, part) in sums.iter().zip(row.as_chunks_mut::<8>().0) {
            unsafe { _mm512_storeu_si512(part.as_mut_ptr().cast(), *sum) };
        }
    }

    #[inline(always)]
    fn add(self, mut left: Self::Sums, right: Self::Sums) -> Self::Sums {
        for (left, right) in left.iter_mut().zip(right) {
            *left = unsafe { _mm512_add_epi64(*left, right) };
        }
        left
    }

    #[inline(always)]
    fn min(self, mut left: Self::Sums, right: Self::Sums) -> Self::Sums {
        for (left, right) in left.iter_mut().zip(right) {
            *left = unsafe { _mm512_min_epi64(*left, right) };
        }
        left
    }

    #[inline(always)]
    fn add_product(self, mut sums: Self::Sums, row: &Row, lots: i64) -> Self::Sums {
        let lots = unsafe { _mm512_set1_epi64(lots) };
        for (sum, part) in sums.iter_mut().zip(self.load(row)) {
            *sum = unsafe { _mm512_add_epi64(*sum, _mm512_mullo_epi64(part, lots)) };
        }
        sums
    }

    #[inline(always)]
    fn add_narrow_product(self, mut sums: Self::Sums, row: &NarrowRow, lots: i64) -> Self::Sums {
        let lots = unsafe { _mm512_set1_epi32(low_half(lots)) };
        let (lower, upper) = sums.split_at_mut(2);
        for ((words, lower), upper) in row.0.as_chunks::<8>().0.iter().zip(lower).zip(upper) {
            unsafe {
                let words = _mm512_loadu_si512(words.as_ptr().cast());
                *lower = _mm512_add_epi64(*lower, _mm512_mul_epi32(words, lots));
                *upper = _mm512_add_epi64(*upper, _mm512_mul_epi32(_mm512_srli_epi64::<32>(words), lots));
            }
        }
        sums
    }

    #[inline(always)]
    fn pick(self, row: &Row, places: &Row) -> Self::Sums {
        let [a, b, c, d] = self.load(row);
        let mut picked = self.load(places);
        for places in &mut picked {
            unsafe {
                let lower = _mm512_permutex2var_epi64(a, *places, b);
                let upper = _mm512_permutex2var_epi64(c, *places, d);
                let is_upper = _mm512_test_epi64_mask(*places, _mm512_set1_epi64(16));
                *places = _mm512_mask_blend_epi64(is_upper, lower, upper);
            }
        }
        picked
    }

    #[inline(always)]
    fn least(self, sums: Self::Sums) -> i64 {
        let [a, b, c, d] = sums;
        unsafe { _mm512_reduce_min_epi64(_mm512_min_epi64(_mm512_min_epi64(a, b), _mm512_min_epi64(c, d))) }
    }

    #[inline(always)]
    fn prefetch(self, row: &Row) {
        prefetch(row);
    }
}

impl Lanes for Avx2 {
    type Sums = [__m256i; 8];

    #[inline(always)]
    fn splat(self, value: i64) -> Self::Sums {
        [unsafe { _mm256_set1_epi64x(value) }; 8]
    }

    #[inline(always)]
    fn load(self, row: &Row) -> Self::Sums {
        let mut sums = self.splat(0);
        for (sum, part) in sums.iter_mut().zip(row.as_chunks::<4>().0) {
            *sum = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
        }
        sums
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, row: &mut Row) {
        for (sum, part) in sums.iter().zip(row.as_chunks_mut::<4>().0) {
            unsafe { _mm256_storeu_si256(part.as_mut_ptr().cast(), *sum) };
        }
    }

    #[inline(always)]
    fn add(self, mut left: Self::Sums, right: Self::Sums) -> Self::Sums {
        for (left, right) in left.iter_mut().zip(right) {
            *left = unsafe { _mm256_add_epi64(*left, right) };
        }
        left
    }

    #[inline(always)]
    fn min(self, mut left: Self::Sums, right: Self::Sums) -> Self::Sums {
        for (left, right) in left.iter_mut().zip(right) {
            *left = unsafe { _mm256_blendv_epi8(*left, right, _mm256_cmpgt_epi64(*left, right)) };
        }
        left
    }

    /// AVX2 has no product of 64 bits. With x = h 2^32 + l: x y = l m + (l k + h m) 2^32 modulo 2^64, where y = k 2^32 + m.
    #[inline(always)]
    fn add_product(self, mut sums: Self::Sums, row: &Row, lots: i64) -> Self::Sums {
        let lots = unsafe { _mm256_set1_epi64x(lots) };
        let swapped = unsafe { _mm256_shuffle_epi32::<0b10_11_00_01>(lots) };
        let high = unsafe { _mm256_set1_epi64x(!0xffff_ffff) };
        for (sum, part) in sums.iter_mut().zip(self.load(row)) {
            unsafe {
                let crossed = _mm256_mullo_epi32(part, swapped);
                let upper = _mm256_add_epi64(_mm256_slli_epi64::<32>(crossed), _mm256_and_si256(crossed, high));
                let lower = _mm256_mul_epu32(part, lots);
                *sum = _mm256_add_epi64(*sum, _mm256_add_epi64(lower, upper));
            }
        }
        sums
    }

    #[inline(always)]
    fn add_narrow_product(self, mut sums: Self::Sums, row: &NarrowRow, lots: i64) -> Self::Sums {
        let lots = unsafe { _mm256_set1_epi32(low_half(lots)) };
        let (lower, upper) = sums.split_at_mut(4);
        for ((words, lower), upper) in row.0.as_chunks::<4>().0.iter().zip(lower).zip(upper) {
            unsafe {
                let words = _mm256_loadu_si256(words.as_ptr().cast());
                *lower = _mm256_add_epi64(*lower, _mm256_mul_epi32(words, lots));
                *upper = _mm256_add_epi64(*upper, _mm256_mul_epi32(_mm256_srli_epi64::<32>(words), lots));
            }
        }
        sums
    }

    #[inline(always)]
    fn pick(self, row: &Row, places: &Row) -> Self::Sums {
        self.load(&pick(row, places))
    }

    #[inline(always)]
    fn least(self, sums: Self::Sums) -> i64 {
        let mut sums = sums;
        for gap in [4, 2, 1] {
            for i in 0..gap {
                let (left, right) = (sums[i], sums[i + gap]);
                sums[i] = unsafe { _mm256_blendv_epi8(left, right, _mm256_cmpgt_epi64(left, right)) };
            }
        }
        let mut least = [0; 4];
        unsafe { _mm256_storeu_si256(least.as_mut_ptr().cast(), sums[0]) };
        least.into_iter().fold(i64::MAX, i64::min)
    }

    #[inline(always)]
    fn prefetch(self, row: &Row) {
        prefetch(row);
    }
}
