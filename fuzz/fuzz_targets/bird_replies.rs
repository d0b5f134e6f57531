//! Runs [`maglev_fuzz::bird_replies::check`] on whatever the fuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maglev_fuzz::bird_replies::check(data));
