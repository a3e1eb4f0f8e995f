//! Random bytes for rustls and for the crates that make keys and signatures: all from [`host::fill_random`].

use std::io;

use rsa::rand_core::{TryCryptoRng, TryRng};
use rustls::crypto::{GetRandomFailed, SecureRandom};

use crate::host;

/// The kernel's generator.
#[derive(Debug, Clone, Copy)]
pub(super) struct KernelRandom;

impl SecureRandom for KernelRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        host::fill_random(bytes).map_err(|_| GetRandomFailed)
    }
}

impl TryRng for KernelRandom {
    type Error = io::Error;

    fn try_next_u32(&mut self) -> io::Result<u32> {
        host::random().map(u32::from_ne_bytes)
    }

    fn try_next_u64(&mut self) -> io::Result<u64> {
        host::random().map(u64::from_ne_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        host::fill_random(bytes)
    }
}

impl TryCryptoRng for KernelRandom {}
