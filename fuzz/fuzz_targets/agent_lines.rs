//! Runs [`maglev_fuzz::agent_lines::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::agent_lines::check(data));
