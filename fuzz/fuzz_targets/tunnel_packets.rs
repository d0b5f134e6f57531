//! Runs [`maglev_fuzz::tunnel_packets::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::tunnel_packets::check(data));
