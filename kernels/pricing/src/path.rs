//! One body, compiled once per instruction set, chosen while running. The only `unsafe` of this crate.
//!
//! A processor without the instructions must never meet them, so a `Path` exists only where detection found them: its
//! field is private, and the calls below rest on that.

/// An instruction set that this machine has. All give the same bits; they differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path(Set);

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("bmi2")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512cd")
}

impl Path {
    /// Every path of this machine, the widest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                found.push(Self(Set::Avx512));
            }
            if has_avx2() {
                found.push(Self(Set::Avx2));
            }
        }
        found.push(Self(Set::Portable));
        found
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|path| path.name() == name)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// What this path runs with; this machine has it.
    #[must_use]
    pub const fn set(self) -> Set {
        self.0
    }

    /// Run one job with this path's instructions.
    #[allow(unsafe_code)] // a path exists only where its instructions do
    pub fn run<J: Job>(self, job: J) {
        match self.0 {
            Set::Portable => job.work(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { with_avx2(job) },
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { with_avx512(job) },
        }
    }
}

/// What a path runs. `work` and all that it calls is `inline(always)`, to be compiled for each instruction set.
pub trait Job {
    fn work(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<J: Job>(job: J) {
    job.work();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512cd")]
fn with_avx512<J: Job>(job: J) {
    job.work();
}
