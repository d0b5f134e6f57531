//! Runs [`maglev_fuzz::cli_text::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::cli_text::check(data));
